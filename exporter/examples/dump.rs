fn main() {
    let file = std::fs::File::open(std::env::args().nth(1).unwrap()).unwrap();
    let mut reader = agentsight::recording::Reader::open(file).unwrap();
    let session = reader.header().session.clone();
    let mut graph = agentsight::graph::Graph::new(&session);
    let mut out = Vec::new();
    while let Some(Ok(event)) = reader.next() {
        if !matches!(event, agentsight_ebpf::Event::Tick(_)) {
            println!("{event:?}");
        }
        graph.apply(&event, &mut out);
        for it in out.drain(..) {
            if let agentsight::graph::Activity::Transferred(t) = it {
                println!(
                    "   >>> {:?} {:?} {:?} {:?}",
                    t.id,
                    t.sums,
                    t.causes.iter().map(|c| (c.kind, c.bytes, c.confidence)).collect::<Vec<_>>(),
                    t.causes_dropped
                );
            }
        }
    }
    println!("{:?}", graph.oddities());
}
