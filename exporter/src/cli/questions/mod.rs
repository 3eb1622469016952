//! The questions as typed: `sessions`, `show`, `query`, `why`, `impact`, `content`, `export`.

mod content;
mod export;
mod focus;
mod output;
mod place;
mod query;
mod sessions;
mod show;
mod slice;
mod trouble;

use std::path::PathBuf;
use std::process::ExitCode;

use agentsight::query::words::Words;
use clap::{Args, ValueEnum};

pub(crate) use content::content;
pub(crate) use export::export;
pub(crate) use query::query;
pub(crate) use sessions::sessions;
pub(crate) use show::show;
pub(crate) use slice::{impact, why};
use trouble::Trouble;

/// Where is asked.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Ask a copy of the store's agentsight.db; takes no rights
    #[arg(long, value_name = "FILE", conflicts_with = "backend")]
    pub store: Option<PathBuf>,
    /// Ask a backend in place of the store: jaeger=http://localhost:16686 or tempo=http://localhost:3200
    #[arg(long, value_name = "KIND=URL")]
    pub backend: Option<String>,
}

/// Which spans.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// Began after this: 5m, 2h (so long ago), 10:30, 2026-11-22, "2026-11-22 10:30", or RFC 3339
    #[arg(long, visible_alias = "from", value_name = "TIME")]
    pub since: Option<String>,
    /// Began before this
    #[arg(long, visible_alias = "to", value_name = "TIME")]
    pub until: Option<String>,
    /// Of this process; may be given again, as may all that follow but --session, --trace, --subtree and --status
    #[arg(long, value_name = "PID")]
    pub pid: Vec<String>,
    /// Of programs with this name, or pattern of names
    #[arg(long, value_name = "NAME")]
    pub exe: Vec<String>,
    /// Of this process (PID) or the image of this span (TRACE:SPAN) and all its descendants
    #[arg(long, value_name = "PID|SPAN")]
    pub subtree: Option<String>,
    /// read, write, connect, exec, …, or a group: network, file, process, dns, ipc
    #[arg(long, value_name = "ACTION")]
    pub action: Vec<String>,
    /// About a process, file, pipe, unix, tcp, udp, ip, tty or dns
    #[arg(long, value_name = "OBJECT")]
    pub object: Vec<String>,
    /// With this path: * within a folder, ** across folders; without a slash, the last part of the path
    #[arg(long, value_name = "GLOB")]
    pub path: Vec<String>,
    /// With this name or address, or pattern of names, at the other end; :PORT may follow
    #[arg(long, visible_alias = "peer", value_name = "HOST")]
    pub host: Vec<String>,
    /// With this port at the other end
    #[arg(long, value_name = "PORT")]
    pub port: Vec<String>,
    /// Of this session: the beginning of its id, or `last`
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Of this trace: the beginning of its id
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,
    /// How it ended: ok or error
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// With this attribute, of the span or its resource; all that are given must hold
    #[arg(long = "attribute", short = 'a', value_name = "NAME=VALUE")]
    pub attribute: Vec<String>,
}

impl FilterArgs {
    fn words(&self) -> Words {
        Words {
            since: self.since.clone(),
            until: self.until.clone(),
            pid: self.pid.clone(),
            exe: self.exe.clone(),
            subtree: self.subtree.clone(),
            action: self.action.clone(),
            object: self.object.clone(),
            path: self.path.clone(),
            host: self.host.clone(),
            port: self.port.clone(),
            session: self.session.clone(),
            trace: self.trace.clone(),
            status: self.status.clone(),
            attribute: self.attribute.clone(),
            ..Words::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.words() == Words::default()
    }
}

/// `agentsight sessions`.
#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    /// Where is asked.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How many, the newest first
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub limit: usize,
    /// As what
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// `agentsight show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Where is asked.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The beginning of a trace's or session's id, or `last`
    #[arg(value_name = "TRACE|SESSION|last", default_value = "last")]
    pub what: String,
    /// As what
    #[arg(long, value_enum, default_value_t = TreeFormat::Tree)]
    pub format: TreeFormat,
}

/// `agentsight query`.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// Where is asked.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Which spans.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// start, end, duration or bytes; a minus before it for the largest first
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// How many at most
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub limit: Option<String>,
    /// Go on where the page before ended
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
    /// As what
    #[arg(long, value_enum, default_value_t = QueryFormat::Table)]
    pub format: QueryFormat,
    /// Go on with new matches as they come, until Ctrl-C
    #[arg(long, conflicts_with_all = ["sort", "cursor", "limit"])]
    pub follow: bool,
}

/// Which span.
#[derive(Debug, Args)]
pub(crate) struct FocusArgs {
    /// The span: TRACE:SPAN, or the beginning of its own id; or choose it by what follows
    #[arg(value_name = "SPAN")]
    pub span: Option<String>,
    /// Which spans.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Of all that match, the one that began last
    #[arg(long)]
    pub last: bool,
}

/// `agentsight why` and `agentsight impact`.
#[derive(Debug, Args)]
pub(crate) struct SliceArgs {
    /// Where is asked.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Which span.
    #[command(flatten)]
    pub focus: FocusArgs,
    /// Follow so many edges at most
    #[arg(long, value_name = "EDGES", default_value_t = 100)]
    pub depth: u32,
    /// Find so many spans at most
    #[arg(long, value_name = "COUNT", default_value_t = 2_000)]
    pub spans: usize,
    /// Follow only edges that are as sure (1: seen; 0.9: all but `flow` and shared memory)
    #[arg(long, value_name = "CONFIDENCE", default_value_t = 0.0)]
    pub confidence: f64,
    /// As what
    #[arg(long, value_enum, default_value_t = TreeFormat::Tree)]
    pub format: TreeFormat,
}

/// `agentsight content`.
#[derive(Debug, Args)]
pub(crate) struct ContentArgs {
    /// Where is asked.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Which span.
    #[command(flatten)]
    pub focus: FocusArgs,
    /// As hex digits, with the place of each line in the stream or file
    #[arg(long, conflicts_with_all = ["raw", "readers"])]
    pub hex: bool,
    /// The bytes as they are, one run after another, without any mark
    #[arg(long, conflicts_with = "readers")]
    pub raw: bool,
    /// Say who has read them, in place of them
    #[arg(long)]
    pub readers: bool,
}

/// `agentsight export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Where is asked.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Which spans.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Where they go.
    #[command(flatten)]
    pub destination: super::DestinationArgs,
}

/// `--format` of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// For people.
    Table,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    Ndjson,
}

/// `--format` of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueryFormat {
    /// For people.
    Table,
    /// One JSON object, with the spans and the cursor of the next page.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// A graph for Graphviz.
    Dot,
    /// A flowchart for mermaid.
    Mermaid,
}

/// `--format` of what has a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TreeFormat {
    /// A tree of text.
    Tree,
    /// One JSON object.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// A graph for Graphviz.
    Dot,
    /// A flowchart for mermaid.
    Mermaid,
}

/// 0, or 2 where the question could not be asked, or 1 where there is no answer.
fn finish(command: &str, result: Result<(), Trouble>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) if trouble.is_broken_pipe() => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("agentsight: {}", trouble.told(command));
            ExitCode::from(trouble.exit_code())
        }
    }
}
