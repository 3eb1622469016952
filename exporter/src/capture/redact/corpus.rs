//! What must be redacted, and what must not: `¦` stands between arguments.

use agentsight_ebpf::{Address, Captured, Event, Gap, Object};

use super::{Layout, MARKER, Redactor, replace};
use crate::recording::every_kind;

/// Made-up secrets of 40 and 64 characters.
const K40: &str = "a8Fk2Lq9Zx7Wc3Vb6Nm1Ty5Ru4Eo0Pi8Sd7Gh2J";
const HEX: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Arguments, `{k}` and `{h}` standing for the secrets above, and what must come out; `#` is the marker.
const SECRETS: &[(&str, &str)] = &[
    // Token shapes, wherever they stand.
    ("aws¦AKIAIOSFODNN7EXAMPLE", "aws¦AKIA#"),
    ("x¦--id¦ASIAIOSFODNN7EXAMPLE", "x¦--id¦ASIA#"),
    ("git¦clone¦https://ghp_{k}@github.com/o/r", "git¦clone¦https://ghp_#@github.com/o/r"),
    ("echo¦gho_{k}", "echo¦gho_#"),
    ("echo¦ghs_{k},ghu_{k}", "echo¦ghs_#,ghu_#"),
    ("echo¦github_pat_11ABCDEFG0abcdefghij_{k}", "echo¦github_pat_#"),
    ("glab¦glpat-Ab12Cd34Ef56Gh78Ij90", "glab¦glpat-#"),
    ("slack¦xoxb-123456789012-abcdefGHIJKL", "slack¦xoxb-#"),
    ("x¦xoxp-1234567890-1234567890-a1b2c3", "x¦xoxp-#"),
    ("x¦sk-{k}", "x¦sk-#"),
    ("x¦sk-proj-{k}_-{k}", "x¦sk-proj-#"),
    ("x¦sk-ant-api03-{k}", "x¦sk-ant-#"),
    ("x¦sk-or-v1-{h}", "x¦sk-or-v1-#"),
    ("x¦AIzaSyA1234567890abcdefghijklmnopqrstuv", "x¦AIza#"),
    ("stripe¦sk_live_51H8abcdefGHIJKLmnop", "stripe¦sk_live_#"),
    ("stripe¦rk_live_51H8abcdefGHIJKLmnop", "stripe¦rk_live_#"),
    ("npm¦npm_{k}", "npm¦npm_#"),
    ("twine¦pypi-AgEIcHlwaS5vcmcCJDk4ZGVm", "twine¦pypi-AgE#"),
    ("x¦hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345", "x¦hf_#"),
    ("x¦eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "x¦eyJ#"),
    ("x¦hvs.CAESIJ1234567890abcdefghij", "x¦hvs.#"),
    ("x¦gsk_{k}", "x¦gsk_#"),
    ("x¦dop_v1_{h}", "x¦dop_v1_#"),
    ("x¦SG.abcdefGHIJ0123456789xy.abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "x¦SG.#"),
    ("x¦dapi{h}", "x¦dapi#"),
    ("x¦ya29.a0AfH6SMBx1234567890abcd", "x¦ya29.#"),
    ("python3¦-c¦print('hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345')", "python3¦-c¦print('hf_#')"),
    ("x¦q=%22ghp_{k}%22", "x¦q=%22ghp_#%22"),
    // Other shapes.
    (
        "x¦-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
        "x¦-----BEGIN RSA PRIVATE KEY-----#-----END RSA PRIVATE KEY-----",
    ),
    ("x¦-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn", "x¦-----BEGIN OPENSSH PRIVATE KEY-----#"),
    ("git¦clone¦https://user:hunter2@host/repo", "git¦clone¦https://user:#@host/repo"),
    ("psql¦postgres://app:p@ss:word@db:5432/x", "psql¦postgres://app:#@db:5432/x"),
    ("redis-cli¦-u¦redis://:hunter2@cache:6379", "redis-cli¦-u¦redis://:#@cache:6379"),
    ("curl¦https://hooks.slack.com/services/T000/B000/XXXXyyyy1234", "curl¦https://hooks.slack.com/services/#"),
    (
        "curl¦https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawx/getMe",
        "curl¦https://api.telegram.org/bot123456789:#/getMe",
    ),
    ("openssl¦rsa¦-passin¦pass:hunter2", "openssl¦rsa¦-passin¦pass:#"),
    // Headers.
    ("curl¦-H¦Authorization: Bearer abc", "curl¦-H¦Authorization: Bearer #"),
    ("curl¦-H¦authorization: basic dXNlcjpwYXNz", "curl¦-H¦authorization: basic #"),
    ("curl¦-H¦Authorization: token {h}", "curl¦-H¦Authorization: token #"),
    ("curl¦-H¦X-Api-Key: hunter2", "curl¦-H¦X-Api-Key: #"),
    ("curl¦-H¦PRIVATE-TOKEN: hunter2 x", "curl¦-H¦PRIVATE-TOKEN: #"),
    ("curl¦--header¦Cookie: session=abc; csrf=def", "curl¦--header¦Cookie: #"),
    ("x¦got Bearer {h} back", "x¦got Bearer # back"),
    (
        "bash¦-c¦curl -H \"Authorization: Bearer {h}\" https://x",
        "bash¦-c¦curl -H \"Authorization: Bearer #\" https://x",
    ),
    ("bash¦-c¦curl -H 'X-Api-Key: hunter2' https://x", "bash¦-c¦curl -H 'X-Api-Key: #' https://x"),
    // URL queries and form fields.
    ("curl¦https://x/y?token=abc&page=2", "curl¦https://x/y?token=#&page=2"),
    ("curl¦https://x/y?page=2&api_key=abc#top", "curl¦https://x/y?page=2&api_key=##top"),
    ("curl¦https://x/y?sv=2020&sig=a8Fk2Lq9Zx7Wc3%2Fb6Nm1Ty5%3D", "curl¦https://x/y?sv=2020&sig=#"),
    ("curl¦https://s3/x?X-Amz-Signature={h}&x=1", "curl¦https://s3/x?X-Amz-Signature=#&x=1"),
    ("curl¦https://x/y?access_token=abc", "curl¦https://x/y?access_token=#"),
    ("curl¦https://x/y?key={k}", "curl¦https://x/y?key=#"),
    ("curl¦-d¦user=a&password=b&c=d", "curl¦-d¦user=a&password=#&c=d"),
    // Options with their value attached.
    ("x¦--password=x", "x¦--password=#"),
    ("x¦--password=$ecret", "x¦--password=#"),
    ("x¦--password=two words", "x¦--password=#"),
    ("x¦--password==x", "x¦--password=#"),
    ("x¦-password=hunter2", "x¦-password=#"),
    ("x¦--db-password=/starts/like/a/path", "x¦--db-password=#"),
    ("x¦--token=hunter2", "x¦--token=#"),
    ("x¦--api-key=hunter2", "x¦--api-key=#"),
    ("x¦--apiKey=hunter2", "x¦--apiKey=#"),
    ("x¦--client-secret=hunter2", "x¦--client-secret=#"),
    ("x¦--private-key={k}", "x¦--private-key=#"),
    ("x¦--credentials={k}", "x¦--credentials=#"),
    ("java¦-Ddb.password=hunter2¦Main", "java¦-Ddb.password=#¦Main"),
    ("helm¦--set¦db.user=a,db.password=b,x=1", "helm¦--set¦db.user=a,db.password=#,x=1"),
    ("docker¦build¦--build-arg=NPM_TOKEN=hunter2", "docker¦build¦--build-arg=NPM_TOKEN=#"),
    // Options with their value in the next argument.
    ("x¦--password¦x", "x¦--password¦#"),
    ("x¦--password¦-hunter2", "x¦--password¦#"),
    ("x¦--token¦hunter2", "x¦--token¦#"),
    ("x¦--secret-key¦{k}¦-v", "x¦--secret-key¦#¦-v"),
    ("gpg¦--passphrase¦correct horse", "gpg¦--passphrase¦#"),
    (
        "aws¦configure¦set¦aws_secret_access_key¦wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws¦configure¦set¦aws_secret_access_key¦#",
    ),
    // Variables.
    ("env¦PASSWORD=x¦cmd", "env¦PASSWORD=#¦cmd"),
    ("sh¦-c¦PASSWORD=x cmd", "sh¦-c¦PASSWORD=# cmd"),
    ("sh¦-c¦export GITHUB_TOKEN='hunter2'; cmd", "sh¦-c¦export GITHUB_TOKEN='#'; cmd"),
    ("bash¦-lc¦PGPASSWORD=hunter2 psql -h db", "bash¦-lc¦PGPASSWORD=# psql -h db"),
    ("docker¦run¦-e¦OPENAI_API_KEY=hunter2¦img", "docker¦run¦-e¦OPENAI_API_KEY=#¦img"),
    ("docker¦run¦-e¦AWS_SECRET_ACCESS_KEY=/{k}¦img", "docker¦run¦-e¦AWS_SECRET_ACCESS_KEY=#¦img"),
    ("x¦Server=db;User=sa;Password=hunter2;Port=1", "x¦Server=db;User=sa;Password=#;Port=1"),
    ("x¦dbPass=hunter2", "x¦dbPass=#"),
    (
        "kubectl¦create¦secret¦generic¦x¦--from-literal=password=abc",
        "kubectl¦create¦secret¦generic¦x¦--from-literal=password=#",
    ),
    ("git¦-c¦http.extraheader=AUTHORIZATION: basic dXNlcjpw", "git¦-c¦http.extraheader=AUTHORIZATION: basic #"),
    ("npm¦config¦set¦//registry.npmjs.org/:_authToken=abc", "npm¦config¦set¦//registry.npmjs.org/:_authToken=#"),
    ("gcloud¦auth¦print¦--access-token¦ya29.abc", "gcloud¦auth¦print¦--access-token¦#"),
    ("wget¦--http-password=hunter2¦--ask-password", "wget¦--http-password=#¦--ask-password"),
    // Structured text.
    ("curl¦-d¦{\"user\": \"a\", \"password\": \"hunter2\"}", "curl¦-d¦{\"user\": \"a\", \"password\": \"#\"}"),
    ("curl¦-d¦{\"password\":\"a\\\"b\",\"x\":1}", "curl¦-d¦{\"password\":\"#\",\"x\":1}"),
    ("curl¦-d¦{'api_key': 'hunter2'}", "curl¦-d¦{'api_key': '#'}"),
    ("sh¦-c¦echo \"{\\\"token\\\": \\\"hunter2\\\"}\"", "sh¦-c¦echo \"{\\\"token\\\": \\\"#\\\"}\""),
    ("python3¦-c¦login(user='a', password='b')", "python3¦-c¦login(user='a', password='#')"),
    ("python3¦-c¦os.environ['API_TOKEN'] = 'hunter2'", "python3¦-c¦os.environ['API_TOKEN'] = '#'"),
    ("tee¦user: a\npassword: hunter2\n", "tee¦user: a\npassword: #\n"),
    (
        "claude¦-p¦log in, the password is not my, but password: hunter2!x, ok",
        "claude¦-p¦log in, the password is not my, but password: # ok",
    ),
    // Options of certain programs.
    ("mysql¦-u¦root¦-psecret¦db", "mysql¦-u¦root¦-p#¦db"),
    ("/usr/bin/mysqldump¦-psecret", "/usr/bin/mysqldump¦-p#"),
    ("sudo¦mariadb¦-psecret", "sudo¦mariadb¦-p#"),
    ("sshpass¦-p¦hunter2¦ssh¦host", "sshpass¦-p¦#¦ssh¦host"),
    ("sshpass¦-phunter2¦ssh¦host", "sshpass¦-p#¦ssh¦host"),
    ("curl¦-u¦user:pass¦https://x", "curl¦-u¦user:#¦https://x"),
    ("curl¦-sSu¦user:pa:ss", "curl¦-sSu¦user:#"),
    ("curl¦-uuser:pass", "curl¦-uuser:#"),
    ("curl¦--user=user:pass", "curl¦--user=user:#"),
    ("curl¦-b¦sid=abc", "curl¦-b¦sid=#"),
    ("docker¦login¦-u¦a¦-p¦hunter2", "docker¦login¦-u¦a¦-p¦#"),
    ("redis-cli¦-a¦hunter2", "redis-cli¦-a¦#"),
    ("ldapsearch¦-D¦cn=x¦-w¦hunter2", "ldapsearch¦-D¦cn=x¦-w¦#"),
    ("smbclient¦//h/s¦-U¦dom/user%pass", "smbclient¦//h/s¦-U¦dom/user%#"),
    ("7z¦a¦-phunter2¦x.7z", "7z¦a¦-p#¦x.7z"),
    ("zip¦-P¦hunter2¦x.zip", "zip¦-P¦#¦x.zip"),
    ("sh¦-c¦cd /x && mysql -psecret db; ls -pl", "sh¦-c¦cd /x && mysql -p# db; ls -pl"),
    ("sh¦-c¦mysql -p'se cret' db", "sh¦-c¦mysql -p'#' db"),
    ("sh¦-c¦cmd --token hunter2 -v", "sh¦-c¦cmd --token # -v"),
    ("sh¦-c¦ssh h 'curl -u a:b https://x'", "sh¦-c¦ssh h 'curl -u a:# https://x'"),
    ("ssh¦host¦cmd --password hunter", "ssh¦host¦cmd --password #"),
];

/// Arguments that must stay as they are.
const INNOCENT: &[&str] = &[
    "gcc¦-O2¦-Wall¦-Wextra¦-std=gnu11¦-I/usr/include/openssl¦-DNDEBUG¦-c¦password.c¦-o¦password.o",
    "cc1¦-quiet¦-imultiarch¦x86_64-linux-gnu¦-D_FORTIFY_SOURCE=2¦token.c¦-dumpbase¦token.c",
    "rustc¦--crate-name¦tokenizers¦--edition=2021¦-C¦metadata=9f86d081884c7d65¦-C¦extra-filename=-9f86d081884c7d65",
    "ld¦-plugin-opt=-pass-through=-lgcc¦-plugin-opt=-pass-through=-lc",
    "clang¦-Xclang¦-target-feature¦-Xclang¦+sse4.2¦-fpass-plugin=x.so",
    "git¦show¦9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "git¦commit¦-m¦Fix the token parser: it lost the last token",
    "git¦log¦--author=Jane Roe <jane@example.com>",
    "git¦config¦credential.helper¦store",
    "git¦clone¦git@github.com:owner/repo.git",
    "git¦clone¦ssh://git@host:22/repo.git",
    "x¦3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "x¦--token-count=5",
    "x¦--max-tokens¦4096",
    "x¦--max_tokens=4096",
    "x¦--tokens=12",
    "x¦--tokenizer=bert-base-uncased",
    "x¦--tokenizer-path¦/models/x",
    "x¦--password-file=/x",
    "x¦--password-file¦/run/x",
    "x¦--password-stdin",
    "x¦--password¦--verbose",
    "x¦--token¦-v",
    "x¦--secret-name=prod",
    "docker¦build¦--secret¦id=npm,src=/root/.npmrc",
    "x¦--private-key=/home/u/.ssh/id_ed25519",
    "x¦--private-key¦~/.ssh/id_rsa",
    "x¦--secret=/run/secrets/x",
    "x¦--token=@/run/token",
    "sh¦-c¦PASSWORD=$PW cmd --token \"$TOKEN\" --api-key ${API_KEY}",
    "sh¦-c¦curl -H \"Authorization: Bearer $TOKEN\" https://x",
    "sh¦-c¦token=$(cat /run/token); echo done",
    "sh¦-c¦for t in a b; do echo \"token $t\"; done",
    "pip¦install¦sk-learn",
    "pip¦install¦scikit-learn==1.5.0¦sk-dist¦sk-video-analysis-toolkit",
    "pip¦install¦secret==1.2¦tokenizers==0.19.1",
    "pip¦install¦hf_transfer¦huggingface_hub[hf_transfer]",
    "npm¦run¦build¦--¦--mode=production",
    "npm¦config¦get¦npm_config_registry",
    "node¦--max-old-space-size=4096¦index.js",
    "python3¦-m¦pytest¦tests/test_password.py::test_token",
    "cargo¦test¦parser::token::tests",
    "docker¦run¦-p¦8080:80¦-u¦1000:1000¦nginx",
    "docker¦run¦vault-secret:1.2.3",
    "mkdir¦-p¦/tmp/x",
    "ls¦-la¦/var/lib/tokens",
    "cp¦Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==.txt¦/tmp/",
    "cat¦/etc/passwd",
    "grep¦-rn¦password¦src/",
    "grep¦-e¦token¦auth.rs",
    "rg¦secret|token|password",
    "passwd¦root",
    "chmod¦600¦/home/u/.ssh/id_rsa",
    "ssh-keygen¦-t¦ed25519¦-f¦key",
    "ssh¦-i¦/home/u/key.pem¦user@host",
    "curl¦-o¦out.json¦https://example.com/a?page=2&sort=name",
    "curl¦-u¦user¦https://x",
    "curl¦-b¦cookies.txt¦https://x",
    "curl¦http://localhost:8080/@scope/pkg",
    "curl¦http://[::1]:8080/x@y",
    "curl¦-H¦Content-Type: application/json",
    "mysql¦-u¦root¦-p¦-P¦3306",
    "psql¦-h¦localhost¦-p¦5432",
    "kubectl¦get¦secret¦my-secret¦-o¦yaml",
    "kubectl¦create¦secret¦generic¦x¦--from-file=a=b",
    "aws¦s3¦cp¦s3://bucket/key¦/tmp/key",
    "env¦PWD=/home/u¦OLDPWD=/¦make",
    "make¦-j4¦COMPASS=north¦BYPASS=1",
    "make¦KEY=value",
    "claude¦-p¦add a test for the token: it is refused when the password is empty",
    "claude¦-p¦Explain what basic authentication and bearer tokens are",
    "claude¦-p¦what does the --token flag do",
    "x¦--auth=basic",
    "x¦--auth-type=oauth2",
    "x¦--secret=",
    "x¦--password=****",
    "x¦--password=<password>",
    "x¦--token={{ token }}",
    "x¦--keyboard=us¦--monkey=see",
    "x¦--sort-key=name",
    "sort¦-t:¦-k¦2",
    "find¦.¦-name¦*.pem",
    "jq¦.token",
    "tar¦-xzf¦AKIA.tar.gz",
    "disk-usage¦task-1234567890abcdefghijklmn",
    "sha256sum¦-c¦9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.txt",
    "x¦eyJ.json",
];

fn bytes_of(text: &str) -> Vec<u8> {
    let text = text.replace("{k}", K40).replace("{h}", HEX);
    let mut bytes = text.replace('¦', "\0").into_bytes();
    bytes.push(0);
    bytes
}

fn redacted(redactor: &Redactor, bytes: &[u8], layout: Layout, cut: bool) -> Vec<u8> {
    replace(bytes, &redactor.find(bytes, layout, cut)).unwrap_or_else(|| bytes.to_vec())
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').replace('\0', "¦")
}

#[test]
fn secrets_are_redacted_and_only_they() {
    let redactor = Redactor::new().expect("the built-in rules compile");
    let mut wrong = Vec::new();
    for (arguments, expected) in SECRETS {
        // A `#` before the marker's place in a URL is the URL's own.
        let expected = expected.replace("##", "#\u{1}").replace('#', MARKER).replace('\u{1}', "#");
        let got = shown(&redacted(&redactor, &bytes_of(arguments), Layout::Arguments, false));
        if got != expected {
            wrong.push(format!("{arguments}\n  expected {expected}\n  got      {got}"));
        }
    }
    assert!(SECRETS.len() >= 80 && wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn innocent_arguments_stay_as_they_are() {
    let redactor = Redactor::new().expect("the built-in rules compile");
    let mut wrong = Vec::new();
    for arguments in INNOCENT {
        let bytes = bytes_of(arguments);
        let got = redacted(&redactor, &bytes, Layout::Arguments, false);
        if got != bytes {
            wrong.push(format!("{arguments}\n  got {}", shown(&got)));
        }
    }
    assert!(INNOCENT.len() >= 60 && wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn redacting_twice_is_redacting_once() {
    let redactor = Redactor::new().expect("the built-in rules compile");
    let lines = || SECRETS.iter().map(|(arguments, _)| *arguments).chain(INNOCENT.iter().copied());
    // Neighbours too: a secret of one line must not change what the next one is.
    for pair in lines().zip(lines().skip(1)) {
        for layout in [Layout::Arguments, Layout::List, Layout::Text] {
            for cut in [false, true] {
                let bytes = bytes_of(&format!("{}¦{}", pair.0, pair.1));
                let once = redacted(&redactor, &bytes, layout, cut);
                let twice = redacted(&redactor, &once, layout, cut);
                assert_eq!(shown(&once), shown(&twice), "{pair:?} {layout:?} cut: {cut}");
            }
        }
    }
}

/// The secret's last bytes are beyond what was captured: whatever of it is left must not be readable.
#[test]
fn a_secret_that_the_end_cuts_short_is_redacted() {
    let redactor = Redactor::new().expect("the built-in rules compile");
    for (arguments, expected) in SECRETS {
        // Where the value alone tells a secret from a word or an option, its beginning cannot.
        let is_prose = ["claude", "tee", "x¦--password¦-h"].iter().any(|start| arguments.starts_with(start));
        let Some(before) = expected.split('#').next().filter(|_| !is_prose) else { continue };
        let before = bytes_of(before).len() - 1;
        let bytes = bytes_of(arguments);
        for kept in 1..=4 {
            let cut = &bytes[..before + kept];
            if cut.ends_with(b"\0")
                || kept > 1 && bytes[before..before + kept].iter().any(|byte| b"@&;,'\" \0/-".contains(byte))
            {
                break;
            }
            let got = redacted(&redactor, cut, Layout::Arguments, true);
            assert!(
                got.len() >= before && got != cut && String::from_utf8_lossy(&got).contains(MARKER),
                "{arguments} cut after {kept} bytes of the secret: {}",
                shown(&got)
            );
        }
    }
}

#[test]
fn a_truncated_capture_without_a_secret_at_its_end_stays() {
    let redactor = Redactor::new().expect("the built-in rules compile");
    for arguments in ["gcc¦-c¦a.c", "x¦--password¦--verb", "curl¦-u¦use"] {
        let mut bytes = bytes_of(arguments);
        bytes.pop();
        assert_eq!(redacted(&redactor, &bytes, Layout::Arguments, true), bytes, "{arguments}");
    }
}

#[test]
fn bytes_that_are_not_utf8_pass_and_do_not_hide_a_secret() {
    let redactor = Redactor::new().expect("the built-in rules compile");
    let got = redacted(&redactor, b"\xff\xfe\0--password=\xc3\x28\xff\0\x80\0", Layout::Arguments, false);
    assert_eq!(got, b"\xff\xfe\0--password=[REDACTED]\0\x80\0");
}

#[test]
fn every_field_of_an_exec_is_redacted_and_counted() {
    let mut exec = super::tests::exec();
    exec.args = Captured { bytes: b"x\0--token=a\0--password=b".to_vec(), gap: Some(Gap::Truncated { total: 99 }) };
    exec.working_directory = Captured::whole(format!("/tmp/ghp_{K40}"));
    exec.environment.baggage = Some(Captured::whole("user=1,api_key=abc,x=2"));
    exec.environment.resource_attributes = Some(Captured::whole(format!("service.version=1,token={K40}")));
    exec.environment.traceparent = Some(Captured::whole("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    let mut event = Event::Exec(Box::new(exec.clone()));
    Redactor::new().expect("the built-in rules compile").redact(&mut event);
    let Event::Exec(got) = event else { unreachable!() };
    assert_eq!(got.args.bytes, b"x\0--token=[REDACTED]\0--password=[REDACTED]");
    assert_eq!(got.args.gap, exec.args.gap);
    assert_eq!(got.working_directory.bytes, b"/tmp/ghp_[REDACTED]");
    assert_eq!(got.environment.baggage, Some(Captured::whole("user=1,api_key=[REDACTED],x=2")));
    assert_eq!(got.environment.resource_attributes, Some(Captured::whole("service.version=1,token=[REDACTED]")));
    assert_eq!(got.environment.traceparent, exec.environment.traceparent);
    assert_eq!(got.redactions, 5);
}

/// Puts `text` wherever an event of data has bytes of the traced program.
fn with_text(mut event: Event, text: &str) -> Event {
    let captured = || Captured::whole(text);
    match &mut event {
        Event::Open(open) => match &mut open.object {
            Object::File(file) => file.path = captured(),
            Object::Pipe { path, .. } | Object::Tty { path, .. } => *path = captured(),
            Object::Unix(socket) => socket.address = captured(),
            Object::Inet(_) => {}
        },
        Event::Connect(connect) if matches!(connect.to, Address::Unix(_)) => connect.to = Address::Unix(captured()),
        Event::Change(change) => (change.path, change.new_path) = (captured(), captured()),
        Event::Dns(dns) => text.clone_into(&mut dns.name),
        _ => {}
    }
    event
}

#[test]
fn the_texts_of_every_event_of_data_are_redacted_and_nothing_else_of_it() {
    let redactor = Redactor::new().expect("the built-in rules compile");
    for (secret, redacted) in [
        (format!("/tmp/ghp_{K40}/x"), "/tmp/ghp_[REDACTED]/x"),
        ("/run/db://me:geheim@host/x".to_owned(), "/run/db://me:[REDACTED]@host/x"),
        ("\0agent?password=geheim".to_owned(), "\0agent?password=[REDACTED]"),
        ("/home/me/plain.txt".to_owned(), "/home/me/plain.txt"),
    ] {
        for event in every_kind::events() {
            if matches!(event, Event::Exec(_) | Event::Snapshot(_)) {
                continue;
            }
            let mut got = with_text(event.clone(), &secret);
            redactor.redact(&mut got);
            assert_eq!(got, with_text(event, redacted));
        }
    }
}

#[test]
fn a_users_rules_add_to_ours() {
    let yaml = "tokens: [{name: ours, prefixes: [acme_], body: '[a-z0-9]', min: 8}]\nkeys: {certain: [zauberwort]}\n";
    let redactor = Redactor::with_rules(yaml).expect("valid rules");
    let got =
        redacted(&redactor, &bytes_of("x¦acme_12345abc¦--zauberwort=bitte¦--password=x"), Layout::Arguments, false);
    assert_eq!(shown(&got), "x¦acme_[REDACTED]¦--zauberwort=[REDACTED]¦--password=[REDACTED]");
}

#[test]
fn wrong_rules_are_refused_by_name() {
    let wrong = Redactor::with_rules("tokens: [{name: ours, prefixes: [a], body: '[', min: 8}]")
        .expect_err("not an expression");
    assert!(wrong.to_string().contains("\"ours\""), "{wrong}");
    assert!(Redactor::with_rules("tokenz: []").is_err());
    assert!(Redactor::with_rules("keys: {likely: ['']}").is_err());
}

/// The gate is derived from the rules, so that it cannot miss what they find.
#[test]
fn no_secret_of_the_corpus_is_missed_by_the_gate() {
    let redactor = Redactor::new().expect("the built-in rules compile");
    assert!(SECRETS.iter().all(|(arguments, _)| redactor.gate.is_match(&bytes_of(arguments))));
    assert!(!redactor.gate.is_match(&bytes_of("gcc¦-O2¦-Wall¦-c¦main.c¦-o¦main.o")));
}
