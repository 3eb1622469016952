//! `agentsight serve`: the store over HTTP.

use std::env;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use agentsight::serve::{OpenStore, Options, TlsFiles, Token, Tokens, serve as serve_store};
use agentsight::store::chosen_dir;
use clap::Args;

/// `agentsight serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen; elsewhere than on the loopback interface TLS is needed
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4680")]
    pub listen: SocketAddr,
    /// Serve a copy of the store's agentsight.db; takes no rights
    #[arg(long, value_name = "FILE")]
    pub store: Option<PathBuf>,
    /// The token's file, which is made at the first start (default: beside the store; with --store, in ~/.config/agentsight)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Serve contents too, to whoever has the token in this file, which is made at the first start; it opens the rest as well
    #[arg(long, value_name = "FILE")]
    pub content_token_file: Option<PathBuf>,
    /// PEM file of the certificate chain
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// How long one answer may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub time_limit: Duration,
}

/// `agentsight serve`: until Ctrl-C; 2 where it could not begin.
pub(crate) fn serve(args: ServeArgs) -> ExitCode {
    agentsight::telemetry::log_to_stderr();
    match try_serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agentsight: {error}");
            ExitCode::from(2)
        }
    }
}

fn try_serve(args: ServeArgs) -> Result<(), Box<dyn std::error::Error>> {
    let store = args.store.map_or_else(|| OpenStore::Own(chosen_dir()), OpenStore::copy);
    // What cannot be served must leave no token behind.
    let opened = store.open().map_err(|error| {
        let is_ours = matches!(store, OpenStore::Copy(..)) || nix::unistd::Uid::effective().is_root();
        let hint = "\nThe store is root's alone: use `sudo agentsight serve`, or --store FILE with a copy of it";
        format!("{error}{}", if is_ours { "" } else { hint })
    })?;
    store.put_back(opened);
    let token_file = match (args.token_file, &store) {
        (Some(file), _) => file,
        (None, OpenStore::Own(dir)) => dir.join("api-token"),
        (None, OpenStore::Copy(..)) => user_token_file()?,
    };
    let content_token_file = args.content_token_file;
    let content_token = content_token_file.as_deref().map(Token::of_file).transpose()?;
    let options = Options {
        listen: args.listen,
        tokens: Tokens::new(Token::of_file(&token_file)?, content_token)?,
        tls: args.tls_certificate.zip(args.tls_key).map(|(certificate, key)| TlsFiles { certificate, key }),
        store,
        time_limit: args.time_limit,
    };
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    serve_store(options, |address| {
        let token_file = token_file.display();
        let contents = content_token_file.map(|file| format!(", that for contents in {}", file.display()));
        println!(
            "{scheme}://{address}/api/v1/openapi.json says what can be asked; the token is in {token_file}{}",
            contents.unwrap_or_default()
        );
        // A reader that waits for this line should not wait for a full buffer.
        let _ = std::io::stdout().flush();
    })?;
    Ok(())
}

fn user_token_file() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let configuration = env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let dir = configuration.or_else(home).ok_or("there is no HOME to keep the token in: use --token-file FILE")?;
    let dir = dir.join("agentsight");
    std::fs::create_dir_all(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    Ok(dir.join("api-token"))
}
