//! Histories known to be good and known to be bad, and what is wrong with them. A register starts empty.

/// What happened, drawn as `drawing` reads it.
pub type Row = (&'static str, &'static str);

pub const GOOD: [Row; 17] = [
    (
        "reads follow writes",
        "
        [set 1] [get=1] [set 2] [get=2]",
    ),
    (
        "concurrent reads see a concurrent write in either order",
        "
        [    set 1    ]
          [get=]
          [  get=1 ]
                   [get=1]",
    ),
    (
        "a read that began before the write returned may see the old value",
        "
        [set 1] [set 2]
                 [get=1]",
    ),
    (
        "an open write takes effect much later",
        "
        [set 1] [get=1] [get=1] [get=1] [get=2]
          [set 2>",
    ),
    (
        "an open write never takes effect",
        "
        [set 1] [get=1]         [get=1]
                  [set 2>",
    ),
    (
        "open increments that say the same take effect as often as they are seen",
        "
        [incr=1] [get=1] [get=2] [incr=4]
         [incr>
          [incr>
           [incr>",
    ),
    (
        "a write whose reply got lost took effect in its time",
        "
        [set 1]         [get=2]
               [set 2)",
    ),
    (
        "open pushes that are seen in their order",
        "
        [push 1>        [range=] [range=2,3] [range=2,3,1]
         [push 2>
          [push 3>",
    ),
    (
        "the members of a set come in any order",
        "
        [add 1=1] [add 2=1] [members=2,1] [members=1,2]",
    ),
    (
        "two pops share two elements",
        "
        [push 1=1] [push 2=2] [pop=2] [pop=]
                              [pop=1]",
    ),
    (
        "Herlihy & Wing, H1: overlapping enqueues go in either order",
        "
        [ push 1=2 ] [pop=2] [pop=1] [push 3>
         [push 2=1]",
    ),
    (
        "Herlihy & Wing, H3: what an open enqueue put in is taken out",
        "
        [push 1>
                 [pop=1]",
    ),
    (
        "a key expires within its interval",
        "
        [set 1 until 5] [get=1]  [get=]
                           [tick 5)",
    ),
    (
        "a key that is set again in time does not expire",
        "
        [set 1 until 5] [set 2]        [get=2]
                                [tick 5)",
    ),
    (
        "an open write with an expiry takes effect too late and leaves nothing",
        "
        [set 1]                 [get=1] [get=]
        [set 2 until 5>
               [tick 5)",
    ),
    (
        "what may happen happens in its interval",
        "
        [set 1 until 5]  [get=1]    [get=]
                            [tick 5?",
    ),
    (
        "what may happen never happens",
        "
        [set 1 until 5]             [get=1]
                           [tick 5?",
    ),
];

pub const BAD: [Row; 24] = [
    (
        "a stale read",
        "
        [set 1] [set 2] [get=1]",
    ),
    (
        "a lost update",
        "
        [incr=1] [incr=2] [get=1]",
    ),
    (
        "a value that nobody wrote, as of a write that was told not to be applied",
        "
        [set 1] [get=2]",
    ),
    (
        "a write that comes back after it was overwritten",
        "
        [set 1] [get=1] [set 2] [get=2] [get=1]",
    ),
    (
        "an open write that comes back after it was overwritten",
        "
        [set 1>  [get=1] [set 2] [get=2] [get=1]",
    ),
    (
        "two increments with one reply",
        "
        [incr=1]
        [incr=1]",
    ),
    (
        "an increment that its retry counted twice",
        "
        [incr=1] [incr=3]",
    ),
    (
        "an open increment that counted twice",
        "
        [incr>   [incr=3]",
    ),
    (
        "reads of two clients that go back",
        "
        [      set 1      ]
         [get=1]
                  [get=]",
    ),
    (
        "an open write that one read sees and a later one does not",
        "
        [set 1]  [get=2] [get=1]
          [set 2>",
    ),
    (
        "a write read before it was invoked",
        "
        [get=1]
                [set 1]",
    ),
    (
        "a write whose reply got lost, and which did too",
        "
        [set 1]         [get=1]
               [set 2)",
    ),
    (
        "one element popped twice",
        "
        [push 1=1] [push 2=2] [pop=1]
                              [pop=1]",
    ),
    (
        "a list that swaps its order between two reads",
        "
        [push 1>     [range=1,2] [range=2,1]
        [push 2>",
    ),
    (
        "two pushes with one length",
        "
        [push 1=1]
        [push 2=1]",
    ),
    (
        "an addition to a set that is lost",
        "
        [add 1=1]  [add 2=1] [members=1]",
    ),
    (
        "an addition to a set that is new twice",
        "
        [add 1=1]  [add 1=1]",
    ),
    (
        "Herlihy & Wing, H2: the later enqueue is taken out first",
        "
        [push 1=1]            [pop=2]
                   [push 2=2]",
    ),
    (
        "Herlihy & Wing, H4: one element is taken out twice",
        "
        [push 1=1]  [pop=2]
         [push 2=2]
                    [pop=2]",
    ),
    (
        "an expiry that is seen too early",
        "
        [set 1 until 5] [get=] [get=]
                               [tick 5)",
    ),
    (
        "an expiry that is seen too late",
        "
        [set 1 until 5]           [get=1]
                         [tick 5)",
    ),
    (
        "a key that expires, is back, and expires again",
        "
        [set 1 until 5] [get=] [get=1] [get=]
                       [       tick 5       )",
    ),
    (
        "an expiry of a key that was set again without one",
        "
        [set 1 until 5] [set 2]          [get=]
                                [tick 5)",
    ),
    (
        "what may happen is seen after its interval only",
        "
        [set 1 until 5]            [get=1] [get=]
                         [tick 5?",
    ),
];
