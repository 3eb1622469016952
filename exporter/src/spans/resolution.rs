//! The span of a DNS query with its answer.

use std::borrow::Cow;

use agentsight_semconv as semconv;
use agentsight_semconv::value::{action, object_type};
use opentelemetry::trace::{SpanKind, Status};

use super::attributes::Attributes;
use super::model::Span;
use super::outline::{Outline, identify, named};
use super::{Spans, address, link};
use crate::graph::Resolution;

const NO_ERROR: u8 = 0;
/// No such name: what a resolver hears that tries the domains of its search list, and no more an error than a file that is not there.
const NX_DOMAIN: u8 = 3;

pub(super) fn resolution(spans: &mut Spans, resolution: &Resolution) -> Span {
    let Resolution { image, under, .. } = resolution;
    let mut attributes = Attributes::of_span();
    identify(spans, image, (object_type::DNS, action::RESOLVE), &mut attributes);
    attributes.text(semconv::DNS_QUESTION_NAME, resolution.name.clone());
    attributes.text(semconv::AGENTSIGHT_DNS_QUESTION_TYPE, type_name(resolution.query_type));
    if !resolution.answers.is_empty() {
        let answers = resolution.answers.iter().map(|answer| answer.address.to_string());
        attributes.texts(semconv::DNS_ANSWERS, answers);
    }
    let mut status = Status::Unset;
    if let Some(code) = resolution.response_code {
        let name = code_name(code);
        attributes.text(semconv::AGENTSIGHT_DNS_RESPONSE_CODE, name.clone());
        if !matches!(code, NO_ERROR | NX_DOMAIN) {
            status = Status::error(name.clone());
            attributes.text(semconv::ERROR_TYPE, name);
        }
    }
    if let Some(server) = resolution.server {
        address::describe(address::SERVER, server, &mut attributes);
        attributes.text(semconv::NETWORK_TYPE, address::network_type(server.ip()));
    }
    let links = link::links(&resolution.causes, 0, image.id, &spans.ids);
    let segment = under.trace.segment;
    let outline = Outline {
        image,
        trace: &under.trace,
        id: spans.ids.resolution(image.id, resolution.query, resolution.number, segment),
        parent: Some(spans.ids.image(image.id, under.part, segment)),
        name: named(spans, action::RESOLVE, &resolution.name),
        kind: SpanKind::Client,
        start: resolution.start,
        end: resolution.end,
    };
    Span { status, ..outline.linked_span(spans, links, attributes) }
}

/// Types by their names in the IANA registry, as far as programs ask for them; others as RFC 3597 writes them.
fn type_name(query_type: u16) -> Cow<'static, str> {
    let name = match query_type {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        43 => "DS",
        46 => "RRSIG",
        48 => "DNSKEY",
        64 => "SVCB",
        65 => "HTTPS",
        255 => "ANY",
        257 => "CAA",
        other => return format!("TYPE{other}").into(),
    };
    name.into()
}

/// Response codes by their names in the IANA registry.
fn code_name(code: u8) -> Cow<'static, str> {
    const NAMES: [&str; 11] = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
        "NOTZONE",
    ];
    NAMES.get(usize::from(code)).map_or_else(|| format!("RCODE{code}").into(), |name| (*name).into())
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::{BurstId, DnsAnswer, OpenId};
    use expect_test::expect;

    use super::*;
    use crate::graph::Activity;
    use crate::spans::fixture::{at, check_activities, image, own_span};

    #[test]
    fn a_look_up_says_what_was_asked_and_answered_and_only_a_servers_failure_is_an_error() {
        let image = image("/usr/bin/curl");
        let answered = Resolution {
            under: own_span(&image),
            image,
            query: BurstId { open: OpenId(3), number: 1 },
            number: 0,
            server: Some("10.0.0.2:53".parse().unwrap()),
            name: "api.example.com".to_owned(),
            query_type: 28,
            start: at(3),
            end: at(9),
            response_code: Some(0),
            answers: ["93.184.216.34", "2606:2800::1"]
                .map(|address| DnsAnswer { address: address.parse().unwrap(), ttl_seconds: 60 })
                .into(),
            causes: Vec::new(),
        };
        let with = |number, response_code, query_type| Resolution {
            number,
            response_code,
            query_type,
            answers: Vec::new(),
            ..answered.clone()
        };
        let all = [answered.clone(), with(1, Some(3), 1), with(2, Some(2), 64_000), with(3, None, 65)];
        let all = all.map(|resolution| Activity::Resolved(Box::new(resolution)));
        check_activities(
            &all,
            &expect![[r##"
            #1 resolve api.example.com Client under 6fb6096f42eddb81 3..9 unset
              agentsight.object.type=dns
              agentsight.action=resolve
              dns.question.name=api.example.com
              agentsight.dns.question.type=AAAA
              dns.answers=["93.184.216.34", "2606:2800::1"]
              agentsight.dns.response_code=NOERROR
              server.address=10.0.0.2
              server.port=53
              network.type=ipv4
            #2 resolve api.example.com Client under 6fb6096f42eddb81 3..9 unset
              agentsight.object.type=dns
              agentsight.action=resolve
              dns.question.name=api.example.com
              agentsight.dns.question.type=A
              agentsight.dns.response_code=NXDOMAIN
              server.address=10.0.0.2
              server.port=53
              network.type=ipv4
            #3 resolve api.example.com Client under 6fb6096f42eddb81 3..9 ERROR "SERVFAIL"
              agentsight.object.type=dns
              agentsight.action=resolve
              dns.question.name=api.example.com
              agentsight.dns.question.type=TYPE64000
              agentsight.dns.response_code=SERVFAIL
              error.type=SERVFAIL
              server.address=10.0.0.2
              server.port=53
              network.type=ipv4
            #4 resolve api.example.com Client under 6fb6096f42eddb81 3..9 unset
              agentsight.object.type=dns
              agentsight.action=resolve
              dns.question.name=api.example.com
              agentsight.dns.question.type=HTTPS
              server.address=10.0.0.2
              server.port=53
              network.type=ipv4
        "##]],
        );
    }

    #[test]
    fn codes_without_a_name_keep_their_number() {
        assert_eq!([code_name(5), code_name(10), code_name(23)], ["REFUSED", "NOTZONE", "RCODE23"]);
    }
}
