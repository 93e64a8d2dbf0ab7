//! What a coordinator of the model does with each step of a round.

use super::*;

impl Coordinator {
    pub(super) fn on_write_step(
        &mut self,
        job: &mut Job,
        step: WriteStep,
        network: &mut Network,
        checker: &mut Checker,
    ) -> Checked {
        if let Some(decided) = shortcut(self.quorum, job, network.control) {
            return self.finish(job, decided, network, checker);
        }
        match step {
            WriteStep::Wait => {
                self.choose_again(job, network);
                Ok(())
            }
            WriteStep::Settle(plan) => {
                self.settle(job, &plan, network);
                Ok(())
            }
            WriteStep::Decided(decided) => self.finish(job, decided, network, checker),
            WriteStep::Retry(retry) => self.retry(job, retry, network, checker),
        }
    }

    fn settle(&mut self, job: &Job, plan: &SettlePlan, network: &mut Network) {
        let Round::Write(_, round) = &job.round else { return };
        let Some(state) = round.winner().map(|(_, ack)| ack.reply.state.clone()) else { return };
        self.send_settles(plan.ballot, &plan.sends, &state, job.tag, network);
        let timeout = network.weather.timeout;
        network.after(timeout, Event::Timeout { to: self.index, tag: job.tag });
    }

    fn send_settles(&self, ballot: Ballot, sends: &Repairs, state: &State, tag: u64, network: &mut Network) {
        for (node, need) in sends {
            let position = state.position();
            let state = (*need == RepairNeed::State).then(|| state.clone());
            network.call(self.index, tag, node.0, Call::Settle(Settle { ballot, position, state }));
        }
    }

    /// The control that settles a better answer, come late, at the ballot of the first winner.
    fn choose_again(&mut self, job: &Job, network: &mut Network) {
        let (Control::WinnerNotFixed, Round::Write(ballot, round)) = (network.control, &job.round) else {
            return;
        };
        let Some((_, winner)) = round.winner() else { return };
        let mut acks = (0..self.quorum.nodes).filter_map(|node| match round.answer(NodeIndex(node)) {
            Some(ApplyAnswer::Ack(ack)) if ack.standing.rank() > winner.standing.rank() => {
                Some(&ack.reply.state)
            }
            _ => None,
        });
        let sends = (0..self.quorum.nodes).map(|node| (NodeIndex(node), RepairNeed::State)).collect();
        if let Some(state) = acks.next_back().cloned() {
            self.send_settles(*ballot, &sends, &state, job.tag, network);
        }
    }

    pub(super) fn on_read_step(
        &mut self,
        job: &mut Job,
        step: ReadStep,
        network: &mut Network,
        checker: &mut Checker,
    ) -> Checked {
        match step {
            ReadStep::Wait => Ok(()),
            ReadStep::Decided(decided) => self.finish(job, decided, network, checker),
            ReadStep::Disagree(Disagreement { above, .. }) => self.disagree(job, above, network, checker),
        }
    }

    /// The client has its answer.
    fn finish(
        &mut self,
        job: &mut Job,
        decided: Decided,
        network: &mut Network,
        checker: &mut Checker,
    ) -> Checked {
        if job.is_over {
            return Ok(());
        }
        let seen = match &job.round {
            Round::Write(_, round) => seen_by_apply(round.answer(decided.from)),
            Round::Read(round) => seen_by_read(round.answer(decided.from)),
            Round::Between | Round::BetweenReads => None,
        };
        let Some(seen) = seen else { return Ok(()) };
        network.log(|| format!("op{} is answered by {:?}: {:?}", job.client, decided.rule, seen.reply));
        self.end(job, network);
        match decided.rule {
            Rule::Quorum => checker.answered_at_quorum_level(job.client, &seen),
            rule => checker.answered(job.client, &format!("{rule:?}"), &seen),
        }
    }

    fn end(&self, job: &mut Job, network: &mut Network) {
        job.is_over = true;
        let pause = 1 + network.rng.below(60);
        network.after(pause, Event::Go { to: self.index });
    }

    /// W3: another ballot, the same op id.
    fn retry(
        &mut self,
        job: &mut Job,
        retry: Retry,
        network: &mut Network,
        checker: &mut Checker,
    ) -> Checked {
        retry.above.into_iter().for_each(|ballot| self.clock.observe(ballot));
        job.keep = retry.keep && network.control != Control::RetryWithoutKeep;
        self.again(job, false, network, checker)
    }

    /// R4: read once more, then the slow read.
    fn disagree(
        &mut self,
        job: &mut Job,
        above: Option<Ballot>,
        network: &mut Network,
        checker: &mut Checker,
    ) -> Checked {
        let believed = above.filter(|_| network.control != Control::PromiseNotCompared);
        believed.into_iter().for_each(|ballot| self.clock.observe(ballot));
        self.again(job, job.rounds == 1, network, checker)
    }

    fn again(
        &mut self,
        job: &mut Job,
        by_read: bool,
        network: &mut Network,
        checker: &mut Checker,
    ) -> Checked {
        if job.rounds > network.weather.rounds {
            return self.give_up(job, network, checker);
        }
        note_outcome(job);
        job.round = if by_read { Round::BetweenReads } else { Round::Between };
        let pause = 1 + network.rng.below(30);
        network.after(pause, Event::Go { to: self.index });
        Ok(())
    }

    /// W4: the client learns whether its op can have run.
    pub(super) fn give_up(&mut self, job: &mut Job, network: &mut Network, checker: &mut Checker) -> Checked {
        if job.is_over {
            return Ok(());
        }
        note_outcome(job);
        job.tag = network.fresh_tag();
        self.end(job, network);
        let not_applied = !job.may_have_run || network.control == Control::SilentMeansNotApplied;
        network.log(|| format!("op{} is given up, not applied: {not_applied}", job.client));
        if not_applied { checker.without_effect(job.client) } else { Ok(()) }
    }

    /// Nobody waits any longer: the silent nodes count as unknown.
    pub(super) fn on_timeout(
        &mut self,
        job: &mut Job,
        network: &mut Network,
        checker: &mut Checker,
    ) -> Checked {
        for node in (0..self.quorum.nodes).map(NodeIndex) {
            let answers: Vec<Answer> = match &job.round {
                Round::Write(_, round) if round.winner().is_some() => {
                    vec![Answer::Settle(SettleAnswer::NoVote)]
                }
                Round::Write(_, round) if round.answer(node).is_none() => {
                    vec![unknown(job.command, network.control)]
                }
                Round::Read(round) if round.answer(node).is_none() => {
                    vec![unread(job.command, network.control)]
                }
                _ => Vec::new(),
            };
            for answer in answers {
                self.on_answer(job, node, answer, network, checker)?;
            }
        }
        Ok(())
    }

    /// The background repair after a decision: some of it, some of the time.
    pub(super) fn repair(&self, job: &Job, network: &mut Network) {
        if !network.rng.percent(network.weather.repairs) {
            return;
        }
        let tag = network.fresh_tag();
        match &job.round {
            Round::Write(ballot, round) => {
                let Some((_, winner)) = round.winner() else { return };
                self.send_settles(*ballot, &round.repairs(), &winner.reply.state, tag, network);
            }
            Round::Read(round) => self.repair_after_read(round, tag, network),
            Round::Between | Round::BetweenReads => {}
        }
    }

    fn repair_after_read(&self, round: &ReadRound<Seen>, tag: u64, network: &mut Network) {
        let Some(decided) = round.decided() else { return };
        let Some(ReadAnswer::Report { standing, reply, .. }) = round.answer(decided.from) else { return };
        let Some(ballot) = standing.accepted else { return };
        let mut repairs = round.repairs();
        if network.control == Control::UnsettledRepair && decided.rule == Rule::Quorum {
            repairs = (0..self.quorum.nodes).map(|node| (NodeIndex(node), RepairNeed::State)).collect();
        }
        self.send_settles(ballot, &repairs, &reply.state, tag, network);
    }
}

/// The answers of the round that ends leave the op's fate open, or not.
fn note_outcome(job: &mut Job) {
    if let Round::Write(_, round) = &job.round {
        job.may_have_run |= round.outcome_if_abandoned() == Abandoned::Indeterminate;
    }
}

fn shortcut(quorum: Quorum, job: &Job, control: Control) -> Option<Decided> {
    let Round::Write(_, round) = &job.round else { return None };
    let kind = if job.command.is_read() { Kind::SlowRead } else { Kind::Mutation };
    control.shortcut(kind, quorum, round).filter(|_| !job.is_over)
}

fn unknown(command: Command, control: Control) -> Answer {
    Answer::Apply(match control {
        Control::UnreachableIsAbsent => ApplyAnswer::Absent { reply: nothing(command) },
        _ => ApplyAnswer::NoVote(NoVote::Unknown),
    })
}

fn unread(command: Command, control: Control) -> Answer {
    Answer::Read(match control {
        Control::UnreachableIsAbsent => ReadAnswer::Absent { reply: nothing(command) },
        _ => ReadAnswer::NoVote,
    })
}

/// What a command answers to a register that does not exist.
fn nothing(command: Command) -> Seen {
    Seen { reply: command.run(&[]).1, state: State::default() }
}

fn seen_by_apply(answer: Option<&ApplyAnswer<Seen>>) -> Option<Seen> {
    match answer? {
        ApplyAnswer::Ack(ack) => Some(ack.reply.clone()),
        ApplyAnswer::Absent { reply } => Some(reply.clone()),
        _ => None,
    }
}

fn seen_by_read(answer: Option<&ReadAnswer<Seen>>) -> Option<Seen> {
    match answer? {
        ReadAnswer::Report { reply, .. } | ReadAnswer::Absent { reply } => Some(reply.clone()),
        _ => None,
    }
}
