//! temp
pub mod redact {
    //! temp
    /// temp
    #[derive(Debug)]
    pub struct Redactor;
    /// temp
    #[derive(Debug, thiserror::Error)]
    #[error("x")]
    pub struct RulesError;
    impl Redactor {
        /// t
        pub fn new() -> Result<Self, RulesError> {
            Ok(Self)
        }
        /// t
        pub fn redact(&self, _e: &mut agentsight_ebpf::Event) {}
    }
}
