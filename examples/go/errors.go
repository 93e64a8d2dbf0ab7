package anarcho

// Outcome errors say what happened to the data.

// CommandError is what Redis says of the command itself. Nothing changed.
type CommandError struct{ Text string }

func (e *CommandError) Error() string { return e.Text }

// Refused: not sent, because it has no deterministic form here or names keys of several registers. Nothing changed.
type Refused struct{ Why string }

func (e *Refused) Error() string { return e.Why }

// NotApplied: gave up before any node can have run it. Nothing changed; it is safe to try again.
type NotApplied struct {
	Why string
	// NoQuorum: fewer than a majority of the nodes could be asked.
	NoQuorum bool
}

func (e *NotApplied) Error() string { return "not applied: " + e.Why }

// Indeterminate: gave up after some node may have run it; it may become visible later. Read before you decide whether to try again.
type Indeterminate struct{ Why string }

func (e *Indeterminate) Error() string { return "the outcome is not known: " + e.Why }

// ReplyLost: it was applied; its reply was too long to be remembered for the retry that learnt of it.
type ReplyLost struct{}

func (e *ReplyLost) Error() string { return "applied, but the reply was too long to be remembered" }

// CannotConnect: the nodes cannot be used together as they are; says which and what to do.
type CannotConnect struct{ Why string }

func (e *CannotConnect) Error() string { return "cannot connect: " + e.Why }
