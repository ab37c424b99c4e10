//! Partitioning of long streams: the part that makes no requests.
//!
//!     cargo bench --bench slicing

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use job::{SubRange, merge, rows_per_partition, split};

/// Ten years of days with a million contacts, most of them of late.
fn days() -> Vec<SubRange> {
    (0..3_650).map(|day| SubRange { at: day..day + 1, role: None, rows: (day * day) as u64 / 16_000 }).collect()
}

fn slicing(criterion: &mut Criterion) {
    let days = days();
    let rows = days.iter().map(|day| day.rows).sum();
    let partition = rows_per_partition(rows, 150, 16).unwrap_or(rows);
    let whole = SubRange { at: 0..3_650, role: None, rows };
    criterion.bench_function("split a million contacts", |bench| bench.iter(|| split(black_box(&whole), partition, true)));
    criterion.bench_function("merge 3,650 days", |bench| bench.iter(|| merge(black_box(days.clone()), partition)));
}

criterion_group!(benches, slicing);
criterion_main!(benches);
