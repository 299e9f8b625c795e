//! The journal: what it keeps, and what it makes of damage.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use sojourner_stats::event::*;
use sojourner_stats::journal::{JournalConfig, JournalError, JournalWriter, ReplayReport, replay};
use sojourner_stats::{Event, Hub, HubConfig, Kind, Micros, Recorded, Snapshot, Stamp, Stats};
use tempfile::TempDir;

use crate::fold::{addr, at, event, finding, reply, verdict};

struct Folder {
    _folder: TempDir,
    path: PathBuf,
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.journal");
    Folder { _folder: folder, path }
}

fn staging(path: &Path) -> PathBuf {
    path.with_extension("journal.staging")
}

fn count(n: u64) -> Event {
    let custom = Custom { key: "n".into(), value: CustomValue::Count(n) };
    event(n, "t", Kind::Custom(custom))
}

fn number(event: &Event) -> u64 {
    match &event.kind {
        Kind::Custom(Custom { value: CustomValue::Count(n), .. }) => *n,
        other => panic!("{other:?} was never recorded"),
    }
}

fn read(path: &Path) -> (Vec<u64>, ReplayReport) {
    let mut replay = replay(path).unwrap();
    let numbers = replay.by_ref().map(|event| number(&event.unwrap())).collect();
    (numbers, *replay.report())
}

/// Three sealed blocks of ten events, and five staged ones.
fn write_35(path: &Path) {
    let mut journal = JournalWriter::open(JournalConfig::new(path)).unwrap();
    for n in 0..35 {
        assert_eq!(journal.append(&count(n)).unwrap(), n);
        if n % 10 == 9 {
            journal.seal().unwrap();
        }
    }
}

#[test]
fn what_was_appended_is_read_back_in_order_sealed_or_not() {
    let folder = folder();
    write_35(&folder.path);
    let (numbers, report) = read(&folder.path);
    assert_eq!(numbers, (0..35).collect::<Vec<_>>());
    assert_eq!((report.events, report.cut_bytes, report.duplicates), (35, 0, 0));
}

#[test]
fn an_existing_journal_is_appended_to() {
    let folder = folder();
    write_35(&folder.path);
    let mut journal = JournalWriter::open(JournalConfig::new(&folder.path)).unwrap();
    assert_eq!((journal.recovery().recovered, journal.recovery().next_seq), (5, 35));
    assert_eq!(journal.append(&count(35)).unwrap(), 35);
    drop(journal);
    assert_eq!(read(&folder.path).0, (0..36).collect::<Vec<_>>());
}

#[test]
fn an_event_larger_than_the_staging_area_is_kept_and_one_beyond_reason_is_refused() {
    let folder = folder();
    let mut journal = JournalWriter::open(JournalConfig::new(&folder.path)).unwrap();
    let change = |bytes| {
        let what = "x".repeat(bytes);
        event(0, "t", Kind::NetworkChange(NetworkChange { what }))
    };
    journal.append(&count(0)).unwrap();
    journal.append(&change(300_000)).unwrap();
    let error = journal.append(&change(5 << 20)).unwrap_err();
    assert!(error.is_about_one_event() && error.to_string().contains("exceeds"), "{error}");
    journal.append(&count(1)).unwrap();
    drop(journal);
    let events: Vec<_> = replay(&folder.path).unwrap().map(Result::unwrap).collect();
    assert_eq!(events, [count(0), change(300_000), count(1)]);
}

#[test]
fn segments_rotate_by_size_and_only_so_many_are_kept() {
    let folder = folder();
    let mut config = JournalConfig::new(&folder.path);
    config.segment_bytes_max = 1_000;
    let write = |config: &JournalConfig, range: std::ops::Range<u64>| {
        let mut journal = JournalWriter::open(config.clone()).unwrap();
        for n in range {
            journal.append(&count(n)).unwrap();
            journal.seal().unwrap();
        }
    };
    write(&config, 0..40);
    let files = || fs::read_dir(folder.path.parent().unwrap()).unwrap().count();
    assert!(files() > 3, "only {} files", files());
    assert_eq!(read(&folder.path).0, (0..40).collect::<Vec<_>>());
    config.segments_max = Some(2);
    write(&config, 40..80);
    assert_eq!(files(), 3, "two segments and the staging area");
    let (numbers, _) = read(&folder.path);
    assert!(!numbers.is_empty() && numbers.len() < 40);
    assert_eq!(numbers, (80 - numbers.len() as u64..80).collect::<Vec<_>>());
}

#[test]
fn a_kill_in_the_middle_of_a_rotation_loses_nothing() {
    let folder = folder();
    write_35(&folder.path);
    let aside = folder.path.with_extension("journal.000001");
    fs::rename(&folder.path, aside).unwrap();
    assert_eq!(read(&folder.path).0, (0..35).collect::<Vec<_>>());
    let journal = JournalWriter::open(JournalConfig::new(&folder.path)).unwrap();
    assert_eq!((journal.recovery().recovered, journal.recovery().next_seq), (5, 35));
    drop(journal);
    assert_eq!(read(&folder.path).0, (0..35).collect::<Vec<_>>());
}

#[test]
fn a_kill_between_sealing_and_zeroing_gives_each_event_once() {
    let folder = folder();
    write_35(&folder.path);
    let staged = fs::read(staging(&folder.path)).unwrap();
    let mut journal = JournalWriter::open(JournalConfig::new(&folder.path)).unwrap(); // seals
    journal.append(&count(35)).unwrap();
    journal.seal().unwrap();
    drop(journal);
    fs::write(staging(&folder.path), staged).unwrap();
    let (numbers, report) = read(&folder.path);
    assert_eq!(numbers, (0..36).collect::<Vec<_>>());
    assert_eq!((report.duplicates, report.cut_bytes), (5, 0));
    let journal = JournalWriter::open(JournalConfig::new(&folder.path)).unwrap();
    assert_eq!((journal.recovery().duplicates, journal.recovery().recovered), (5, 0));
    assert_eq!(read(&folder.path).0, (0..36).collect::<Vec<_>>());
}

#[test]
fn a_second_writer_is_refused_until_the_first_has_ended() {
    let folder = folder();
    let first = JournalWriter::open(JournalConfig::new(&folder.path)).unwrap();
    let error = JournalWriter::open(JournalConfig::new(&folder.path)).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("session.journal is being written"), "{error}");
    drop(first);
    JournalWriter::open(JournalConfig::new(&folder.path)).unwrap();
}

#[test]
fn a_file_of_something_else_is_named_and_left_alone() {
    let folder = folder();
    let bytes: Vec<u8> =
        (0..5_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for foreign in [&bytes[..], b"x", b"SJNL\r\n\x1a", b"SJNL\n\n\x1a\n........."] {
        fs::write(&folder.path, foreign).unwrap();
        let whole_prefix = foreign == b"SJNL\r\n\x1a";
        for error in [
            replay(&folder.path).err(),
            JournalWriter::open(JournalConfig::new(&folder.path)).err(),
        ] {
            if whole_prefix {
                assert!(error.is_none(), "a header cut by a crash is a journal");
                continue;
            }
            let error = error.unwrap().to_string();
            assert!(error.contains("session.journal is not a Sojourner journal"), "{error}");
            assert!(error.contains("a journal begins with"), "{error}");
            assert_eq!(fs::read(&folder.path).unwrap(), foreign);
        }
    }
}

#[test]
fn a_newer_format_says_so() {
    let folder = folder();
    write_35(&folder.path);
    let mut bytes = fs::read(&folder.path).unwrap();
    bytes[8] = 7;
    fs::write(&folder.path, bytes).unwrap();
    let error = replay(&folder.path).unwrap_err().to_string();
    assert!(error.contains("format 7") && error.contains("newer release"), "{error}");
}

#[test]
fn a_missing_journal_and_an_impossible_place_are_errors_that_name_the_path() {
    let folder = folder();
    let error = replay(&folder.path).unwrap_err().to_string();
    assert!(error.starts_with("cannot open") && error.contains("session.journal"), "{error}");
    let nowhere = folder.path.join("deeper").join("x");
    let error = JournalWriter::open(JournalConfig::new(&nowhere)).unwrap_err().to_string();
    assert!(error.starts_with("cannot open") && error.contains("deeper"), "{error}");
}

#[test]
fn an_empty_file_is_a_journal_of_nothing() {
    let folder = folder();
    fs::write(&folder.path, b"").unwrap();
    assert_eq!(read(&folder.path), (vec![], ReplayReport::default()));
}

#[test]
fn a_segment_cut_anywhere_gives_whole_blocks_and_reports_the_rest() {
    let folder = folder();
    write_35(&folder.path);
    fs::remove_file(staging(&folder.path)).unwrap();
    let whole = fs::read(&folder.path).unwrap();
    for len in 0..whole.len() {
        fs::write(&folder.path, &whole[..len]).unwrap();
        let (numbers, report) = read(&folder.path);
        assert_eq!(numbers.len() % 10, 0, "cut at {len}");
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "cut at {len}");
        let cut = report.cut_bytes;
        let journal = JournalWriter::open(JournalConfig::new(&folder.path)).unwrap();
        assert_eq!(journal.recovery().cut_bytes, cut, "cut at {len}");
        assert_eq!(journal.recovery().next_seq, numbers.len() as u64);
        drop(journal);
        let (again, report) = read(&folder.path);
        assert_eq!((again, report.cut_bytes), (numbers, 0), "mended after a cut at {len}");
    }
}

#[test]
fn a_damaged_block_is_skipped_and_those_behind_it_are_read() {
    let folder = folder();
    write_35(&folder.path);
    let whole = fs::read(&folder.path).unwrap();
    let second = 16 + 32 + u32::from_le_bytes(whole[20..24].try_into().unwrap()) as usize;
    for damaged in [second, second + 4, second + 40] {
        let mut bytes = whole.clone();
        bytes[damaged] ^= 0x10;
        fs::write(&folder.path, bytes).unwrap();
        let (numbers, report) = read(&folder.path);
        assert_eq!(numbers, (0..10).chain(20..35).collect::<Vec<_>>(), "byte {damaged}");
        assert_eq!((report.corrupt_blocks, report.cut_bytes), (1, 0), "byte {damaged}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn damage_never_panics_never_invents_and_never_repeats(
        flips in vec((any::<bool>(), any::<prop::sample::Index>(), 1..=255_u8), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let folder = folder();
        write_35(&folder.path);
        let mut segment = fs::read(&folder.path).unwrap();
        let mut staged = fs::read(staging(&folder.path)).unwrap();
        for (which, index, xor) in flips {
            // Most of the staging area is zeros; damage the part in use.
            if which {
                let at = index.index(segment.len());
                segment[at] ^= xor;
            } else {
                staged[index.index(1_000)] ^= xor;
            }
        }
        if let Some(cut) = cut {
            segment.truncate(cut.index(segment.len()));
        }
        fs::write(&folder.path, segment).unwrap();
        fs::write(staging(&folder.path), staged).unwrap();
        for _ in 0..2 {
            if let Ok(replay) = replay(&folder.path) {
                let numbers: Vec<_> = replay.map(|event| number(&event.unwrap())).collect();
                prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
                prop_assert!(numbers.iter().all(|n| *n < 35));
            }
            // The second time over what the writer made of it.
            drop(JournalWriter::open(JournalConfig::new(&folder.path)));
        }
    }

    #[test]
    fn random_bytes_in_both_files_never_panic(
        segment in vec(any::<u8>(), 0..400), staged in vec(any::<u8>(), 0..400), headers in any::<bool>(),
    ) {
        let folder = folder();
        let with_header = |magic: &[u8], bytes: Vec<u8>| {
            let header = [magic, &[1, 0, 0, 0, 0, 0, 0, 0]].concat();
            if headers { [header, bytes].concat() } else { bytes }
        };
        fs::write(&folder.path, with_header(b"SJNL\r\n\x1a\n", segment)).unwrap();
        fs::write(staging(&folder.path), with_header(b"SJST\r\n\x1a\n", staged)).unwrap();
        if let Ok(replay) = replay(&folder.path) {
            prop_assert_eq!(replay.count(), 0);
        }
        drop(JournalWriter::open(JournalConfig::new(&folder.path)));
    }

    /// The law that makes a journal worth keeping.
    #[test]
    fn a_replay_folds_to_the_snapshot_of_the_live_fold(
        events in vec((0..100_000_u64, 0..3_usize, kind()), 0..150),
    ) {
        let folder = folder();
        let mut config = HubConfig::default();
        config.journal = Some(JournalConfig::new(&folder.path));
        let hub = Hub::start(config).unwrap();
        let recorder = hub.recorder();
        for (ms, target, kind) in events {
            let event = event(ms, ["a", "b", "c"][target], kind);
            prop_assert_eq!(recorder.record(&event), Recorded::Kept);
        }
        let live = Snapshot { at: at(0), ..(*hub.finish()).clone() };
        prop_assert_eq!(folded(&folder.path), live);
    }
}

fn folded(path: &Path) -> Snapshot {
    let mut stats = Stats::default();
    for event in replay(path).unwrap() {
        stats.fold(&event.unwrap());
    }
    stats.snapshot(at(0))
}

fn kind() -> impl Strategy<Value = Kind> {
    let nanos = 0..2_000_000_000_u64;
    prop_oneof![
        4 => nanos.prop_map(|nanos| reply(1, Duration::from_nanos(nanos))),
        2 => any::<u64>().prop_map(|seq| Kind::PingLost(PingLost { seq, addr: addr() })),
        2 => prop_oneof![
            any::<u64>().prop_map(CustomValue::Count),
            any::<f64>().prop_map(CustomValue::Gauge),
            any::<f64>().prop_map(CustomValue::Sample),
        ]
        .prop_map(|value| Kind::Custom(Custom { key: "k\"\u{1f980}".into(), value })),
        1 => Just(finding(Cause::PacketLoss)),
        1 => Just(verdict(Cause::PacketLoss)),
        1 => (1..=40_u8, any::<u32>()).prop_map(|(ttl, nanos)| Kind::HopReply(HopReply {
            round: 0,
            ttl,
            addr: addr(),
            rtt_us: Micros(Duration::from_nanos(nanos.into())),
            answer: HopAnswer::Unreachable(IcmpUnreachable::TooBig { mtu: nanos }),
            protocol: TraceProtocol::Icmp,
            return_ttl: None,
        })),
        1 => any::<i32>().prop_map(|errno| Kind::TcpConnect(TcpConnect {
            addr: "[2001:db8::1]:443".parse().unwrap(),
            attempt: 0,
            outcome: TcpOutcome::LocalError(errno),
            elapsed_us: Micros(Duration::ZERO),
            won: false,
            local: None,
            info: None,
        })),
        1 => any::<u64>().prop_map(|count| Kind::Dropped(Dropped { count })),
        1 => Just(Kind::Unknown),
    ]
}

#[test]
fn recorders_of_many_threads_journal_in_the_order_they_fold() {
    let folder = folder();
    let mut config = HubConfig::default();
    config.journal = Some(JournalConfig::new(&folder.path));
    let hub = Hub::start(config).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let recorder = hub.recorder();
            scope.spawn(move || {
                for n in 0..500 {
                    let rtt = Duration::from_micros(u64::from(thread) * 1_000 + n);
                    assert_eq!(recorder.record(&event(n, "t", reply(n, rtt))), Recorded::Kept);
                }
            });
        }
    });
    assert_eq!(hub.journal_error().map(|error| error.to_string()), None);
    let live = Snapshot { at: at(0), ..(*hub.finish()).clone() };
    assert_eq!(live.events, 2_000);
    assert_eq!(folded(&folder.path), live);
}

#[test]
fn an_event_of_a_newer_release_is_counted_and_those_around_it_are_read() {
    let folder = folder();
    let mut journal = JournalWriter::open(JournalConfig::new(&folder.path)).unwrap();
    journal.append(&count(0)).unwrap();
    journal.append(&Event::new(Stamp::default(), count(0).origin, Kind::Unknown)).unwrap();
    journal.append(&count(1)).unwrap();
    let mut replay = replay(&folder.path).unwrap();
    assert_eq!(replay.by_ref().count(), 3);
    assert_eq!((replay.report().events, replay.report().unknown), (3, 1));
}
