//! Bad histories, which the checks must catch, and good ones next to them, which they must not.

use super::workload::{Counter, Fate, Members, Register};

fn assert_caught(verdict: Result<(), String>, about: &str) {
    let complaint = verdict.expect_err("the check found nothing wrong");
    assert!(complaint.starts_with(about), "{complaint}");
}

#[test]
fn increments_and_reads_one_after_the_other_are_fine() {
    let counter = Counter::default();
    for turn in 1..200 {
        counter.incremented(counter.begin_increment(), turn).expect("an increment");
        counter.read(counter.begin_read(), turn).expect("a read");
    }
    counter.finished(199).expect("the total");
}

#[test]
fn increments_at_the_same_time_may_be_answered_in_either_order() {
    let counter = Counter::default();
    let (first, second) = (counter.begin_increment(), counter.begin_increment());
    counter.incremented(second, 1).expect("the second one");
    counter.incremented(first, 2).expect("the first one");
}

#[test]
fn a_lost_increment_is_caught() {
    let counter = Counter::default();
    counter.incremented(counter.begin_increment(), 1).expect("an increment");
    assert_caught(counter.incremented(counter.begin_increment(), 1), "lost");
    let counter = Counter::default();
    counter.incremented(counter.begin_increment(), 1).expect("an increment");
    assert_caught(counter.finished(0), "lost");
}

#[test]
fn an_increment_that_counts_twice_is_caught() {
    let counter = Counter::default();
    assert_caught(counter.incremented(counter.begin_increment(), 2), "duplicate");
    let counter = Counter::default();
    let (first, second) = (counter.begin_increment(), counter.begin_increment());
    counter.incremented(first, 1).expect("an increment");
    assert_caught(counter.incremented(second, 1), "duplicate");
    let counter = Counter::default();
    counter.begin_increment();
    counter.indeterminate();
    counter.finished(1).expect("an open increment may count");
    assert_caught(counter.finished(2), "duplicate");
}

#[test]
fn an_increment_that_was_not_applied_and_counts_is_caught() {
    let counter = Counter::default();
    counter.begin_increment();
    counter.not_applied().expect("nobody saw it");
    assert_caught(counter.read(counter.begin_read(), 1), "duplicate");
    assert_caught(counter.finished(1), "duplicate");
}

#[test]
fn a_counter_that_goes_back_is_caught() {
    let counter = Counter::default();
    counter.incremented(counter.begin_increment(), 1).expect("an increment");
    assert_caught(counter.read(counter.begin_read(), 0), "stale");
    let counter = Counter::default();
    counter.begin_increment();
    counter.indeterminate();
    counter.read(counter.begin_read(), 1).expect("an open increment may be seen");
    assert_caught(counter.read(counter.begin_read(), 0), "stale");
}

#[test]
fn a_read_during_two_writes_may_see_either() {
    let register = Register::default();
    let read = register.begin_read();
    let (first, one) = register.begin_write();
    register.written(first, one);
    let (second, two) = register.begin_write();
    let late = register.begin_read();
    register.read(late, one).expect("the second write is under way");
    register.read(read, 0).expect("it began before all of them");
    register.written(second, two);
    register.read(register.begin_read(), two).expect("the last value");
}

#[test]
fn a_value_that_was_replaced_is_stale() {
    let register = Register::default();
    let (first, one) = register.begin_write();
    register.written(first, one);
    let (second, two) = register.begin_write();
    register.written(second, two);
    assert_caught(register.read(register.begin_read(), one), "stale");
    assert_caught(register.read(register.begin_read(), 0), "stale");
}

#[test]
fn a_value_that_was_replaced_by_one_that_was_only_read_is_stale() {
    let register = Register::default();
    let (first, one) = register.begin_write();
    register.written(first, one);
    let (_open, two) = register.begin_write();
    register.read(register.begin_read(), two).expect("an open write may be seen");
    assert_caught(register.read(register.begin_read(), one), "stale");
}

#[test]
fn an_open_write_may_appear_at_any_time_until_it_was_seen_and_replaced() {
    let register = Register::default();
    let (_open, late) = register.begin_write();
    let (second, two) = register.begin_write();
    register.written(second, two);
    register.read(register.begin_read(), late).expect("it came late");
    let (third, three) = register.begin_write();
    register.written(third, three);
    assert_caught(register.read(register.begin_read(), late), "stale");
}

#[test]
fn a_value_that_was_not_applied_and_is_read_is_caught() {
    let register = Register::default();
    let (_begun, value) = register.begin_write();
    register.not_applied(value).expect("nobody saw it");
    assert_caught(register.read(register.begin_read(), value), "stale");
    let (_begun, value) = register.begin_write();
    register.read(register.begin_read(), value).expect("it is under way");
    assert_caught(register.not_applied(value), "stale");
}

#[test]
fn members_that_are_lost_doubled_or_invented_are_caught() {
    let mut members = Members::default();
    members.added(1, Fate::Acknowledged);
    members.added(2, Fate::Indeterminate);
    members.added(3, Fate::NotApplied);
    members.finished(&[1]).expect("an open one may be missing");
    members.finished(&[2, 1]).expect("an open one may be there");
    assert_caught(members.finished(&[2]), "lost");
    assert_caught(members.finished(&[1, 1]), "duplicate");
    assert_caught(members.finished(&[1, 2, 2]), "duplicate");
    assert_caught(members.finished(&[1, 3]), "duplicate");
    assert_caught(members.finished(&[1, 4]), "duplicate");
    members.length_after(1).expect("the first push");
    assert_caught(members.length_after(1), "duplicate");
}
