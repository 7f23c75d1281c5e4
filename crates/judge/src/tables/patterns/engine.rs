//! Matching a pattern within a budget: an automaton where there can be one, else by simulation or by backtracking.

use std::cell::Cell;
use std::ops::Range;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{Compiler, Config, NFA, WhichCaptures};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::Hir;

use super::backtrack::Program;
use super::syntax::Expression;

/// What one lookup may cost, in steps of an automaton that stands in the processor's cache: less than 10 ms.
const WORK_MAX: usize = 3_000_000;
/// What a pattern costs before its first step: it is seldom in the cache.
const PATTERN_COST: usize = 200;
/// What a step into a part of an automaton costs that is not in the cache.
const MISS_COST: usize = 64;
/// How much of an automaton comes into the cache at once, in bytes.
const CACHE_LINE: usize = 64;
/// What a step with one state of a simulation costs, and how many bounds of groups it copies for one more.
const SIMULATION_COST: usize = 10;
const BOUNDS_PER_COST: usize = 8;
/// The largest automaton of one pattern, in bytes.
const AUTOMATON_SIZE_MAX: usize = 256 << 10;
/// The largest that may become an automaton, and the memory for trying.
const NFA_SIZE_MAX: usize = 1 << 20;
/// The most states of a pattern that is simulated: one that is larger spends the budget on a single long name.
const STATES_MAX: usize = 1_000;
/// The memory for the automata of one table; patterns for which none is left are simulated.
const TABLE_SIZE_MAX: usize = 64 << 20;

/// What a lookup may still cost.
#[derive(Debug)]
pub(in crate::tables) struct Work(Cell<usize>);

/// A lookup has used up its budget.
#[derive(Debug)]
pub(super) struct Spent;

impl Work {
    pub(in crate::tables) fn new() -> Self {
        Self(Cell::new(WORK_MAX))
    }

    pub(super) fn spend(&self, steps: usize) -> Result<(), Spent> {
        self.0.set(self.0.get().checked_sub(steps).ok_or(Spent)?);
        Ok(())
    }
}

/// The memory that the patterns of a table may still take.
#[derive(Debug)]
pub(super) struct Memory(usize);

impl Memory {
    pub(super) fn new() -> Self {
        Self(TABLE_SIZE_MAX)
    }
}

/// What the groups of a pattern matched, by number; the whole match has 0.
pub(super) type Groups = Vec<Option<Range<usize>>>;

/// A pattern, ready to search with.
#[derive(Debug)]
pub(super) struct Pattern {
    engine: Engine,
    /// Finds the groups; an automaton only knows whether there is a match.
    groups: Option<PikeVM>,
}

#[derive(Debug)]
enum Engine {
    Automaton(Box<dense::DFA<Vec<u32>>>),
    Simulation(Box<PikeVM>),
    Backtracking(Program),
}

impl Pattern {
    /// Compiles an expression; `wants_groups` if [`Self::groups`] will be asked.
    pub(super) fn new(expression: &Expression, wants_groups: bool, memory: &mut Memory) -> Result<Self, String> {
        let Some(hir) = expression.node.to_hir() else {
            return Ok(Self { engine: Engine::Backtracking(Program::new(expression)?), groups: None });
        };
        let nfa = nfa(&hir, wants_groups)?;
        let simulation = || PikeVM::new_from_nfa(nfa.clone()).map_err(|error| error.to_string());
        let automaton = automaton(&nfa, memory);
        if nfa.states().len() > STATES_MAX && (wants_groups || automaton.is_none()) {
            return Err(format!("the pattern is too large: {} states, {STATES_MAX} at the most", nfa.states().len()));
        }
        let groups = if wants_groups { Some(simulation()?) } else { None };
        let engine = match automaton {
            Some(automaton) => Engine::Automaton(automaton.into()),
            None => Engine::Simulation(simulation()?.into()),
        };
        Ok(Self { engine, groups })
    }

    /// Whether the pattern is found in `key`.
    pub(super) fn is_in(&self, key: &[u8], work: &Work) -> Result<bool, Spent> {
        work.spend(PATTERN_COST)?;
        match &self.engine {
            Engine::Automaton(automaton) => run(automaton, key, work),
            Engine::Simulation(simulation) => {
                work.spend(simulation_cost(simulation, key))?;
                Ok(simulation.is_match(&mut simulation.create_cache(), key))
            }
            Engine::Backtracking(program) => program.search(key, work).map(|groups| groups.is_some()),
        }
    }

    /// What the groups matched, if the pattern is found in `key`.
    pub(super) fn groups(&self, key: &[u8], work: &Work) -> Result<Option<Groups>, Spent> {
        match (&self.engine, &self.groups) {
            (Engine::Backtracking(program), _) => program.search(key, work),
            (_, None) => Ok(None),
            (_, Some(simulation)) => {
                work.spend(simulation_cost(simulation, key))?;
                let mut found = simulation.create_captures();
                simulation.captures(&mut simulation.create_cache(), key, &mut found);
                let groups = found.iter().map(|group| group.map(|span| span.range())).collect();
                Ok(found.is_match().then_some(groups))
            }
        }
    }
}

fn nfa(hir: &Hir, wants_groups: bool) -> Result<NFA, String> {
    let which = if wants_groups { WhichCaptures::All } else { WhichCaptures::None };
    let config = Config::new().utf8(false).nfa_size_limit(Some(NFA_SIZE_MAX)).which_captures(which);
    let built = Compiler::new().configure(config).build_from_hir(hir);
    built.map_err(|error| format!("the pattern is too large: {error}"))
}

fn automaton(nfa: &NFA, memory: &mut Memory) -> Option<dense::DFA<Vec<u32>>> {
    let config = dense::Config::new()
        .accelerate(false)
        .start_kind(StartKind::Unanchored)
        .dfa_size_limit(Some(AUTOMATON_SIZE_MAX.min(memory.0)))
        .determinize_size_limit(Some(NFA_SIZE_MAX));
    let automaton = dense::Builder::new().configure(config).build_from_nfa(nfa).ok()?;
    memory.0 = memory.0.saturating_sub(automaton.memory_usage());
    Some(automaton)
}

fn simulation_cost(simulation: &PikeVM, key: &[u8]) -> usize {
    let nfa = simulation.get_nfa();
    let cost = SIMULATION_COST + nfa.group_info().slot_len() / BOUNDS_PER_COST;
    nfa.states().len() * (key.len() + 1) * cost
}

/// Steps through `key` until it is clear whether there is a match. The first step into a part of an automaton may miss
/// the cache.
fn run(automaton: &dense::DFA<Vec<u32>>, key: &[u8], work: &Work) -> Result<bool, Spent> {
    let input = Input::new(key).anchored(Anchored::No);
    // It fails for anchored searches and for octets that quit, and there are neither.
    let Ok(mut state) = automaton.start_state_forward(&input) else { return Ok(false) };
    let (mut steps, mut lines) = (0, Lines::new());
    for octet in key {
        let next = automaton.next_state(state, *octet);
        steps += 1;
        if next != state {
            lines.touch(next.as_usize() * size_of::<u32>() / CACHE_LINE);
        }
        state = next;
        if automaton.is_special_state(state) && (automaton.is_match_state(state) || automaton.is_dead_state(state)) {
            break;
        }
    }
    let lines_per_state = (automaton.stride() * size_of::<u32>()).div_ceil(CACHE_LINE);
    work.spend(steps + lines.touched * lines_per_state * MISS_COST)?;
    // At the end of the key the last octet has its say; a match stays one, and the dead state dead.
    Ok(automaton.is_match_state(state) || automaton.is_match_state(automaton.next_eoi_state(state)))
}

/// The lines of the cache that an automaton has come to.
struct Lines {
    seen: [u64; AUTOMATON_SIZE_MAX / CACHE_LINE / u64::BITS as usize],
    touched: usize,
}

impl Lines {
    fn new() -> Self {
        Self { seen: [0; _], touched: 0 }
    }

    fn touch(&mut self, line: usize) {
        let (word, bit) = (line / u64::BITS as usize, 1 << (line % u64::BITS as usize));
        if let Some(word) = self.seen.get_mut(word)
            && *word & bit == 0
        {
            *word |= bit;
            self.touched += 1;
        }
    }
}
