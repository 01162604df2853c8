mod stalls;

use super::*;

fn places(count: usize) -> Vec<Place> {
    (0..count).map(|_| Place::default()).collect()
}

#[test]
fn the_example_above_adds_up() {
    let places = places(8);
    let tallies = Tallies::new(&places);
    tallies.open(7);
    for (used, returned) in [(6, 0), (0, 1), (0, 1), (0, 2)] {
        assert!(tallies.add(7, used, returned));
    }
    let (used, returned) = (6, 4);
    assert_eq!(tallies.read(7), Some(Tally { used, returned }));
}

#[test]
fn a_lease_that_is_no_longer_remembered_is_nobody_elses() {
    let places = places(8);
    let tallies = Tallies::new(&places);
    tallies.open(7);
    tallies.open(15);
    assert!(!tallies.add(7, 1, 0));
    assert_eq!(tallies.read(7), None);
    assert_eq!(tallies.read(15), Some(Tally::default()));
    assert_eq!(tallies.read(1), None);
}

#[test]
fn what_was_perhaps_granted_is_returned_whole() {
    let places = places(8);
    let tallies = Tallies::new(&places);
    tallies.abandon(3);
    assert_eq!(tallies.read(3).unwrap().returned, MOST);
    assert!(tallies.add(3, 0, 5));
    assert_eq!(tallies.read(3).unwrap().returned, MOST);
}
