//! Password hashing: argon2id on a few threads of its own.
//!
//! A hash takes 19 MiB and some 20 ms of a core, so there are never more at once than cores, at a
//! lower priority than everything else, and no more than a fixed number wait. Whoever comes when
//! all places are taken is told to come again. Between sign-ins the threads hold no memory.
//!
//! Passwords are hashed exactly as typed: nothing is trimmed, folded or cut.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io, thread};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Deserialize;
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::secret::same_secret;

/// How many password jobs may wait for a thread.
pub const WAITING_MAX: usize = 64;

/// Two cores work off [`WAITING_MAX`] jobs in about a second.
const RETRY_AFTER_S: u32 = 2;

/// How much the threads step back: at 10 they get about a tenth of a core that others want too.
const NICE: i32 = 10;

/// For how long an idle thread keeps its memory for the next job, and how long after that it has
/// the allocator give back what was freed: more than the second that the allocator keeps it.
const KEEP_MEMORY: Duration = Duration::from_secs(2);

/// The parameters of new hashes: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const OUTPUT_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// The most that a stored hash may ask for; more is an altered record, not a cautious one.
const MEMORY_KIB_MAX: u32 = 64 * 1024;
const PASSES_MAX: u32 = 8;
const LANES_MAX: u32 = 4;
const OUTPUT_BYTES_MIN: usize = 16;

/// A password as it was typed. It is wiped when dropped, and never shown.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct Password(Zeroizing<String>);

impl Password {
    /// The characters that were typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same characters in one spelling (NFC, RFC 8265 section 4.2.2), for keyboards differ in how
    /// they compose an accent.
    fn composed(&self) -> Zeroizing<String> {
        // NFC is at most three times as long; a buffer that grew would leave a copy behind.
        let mut composed = Zeroizing::new(String::with_capacity(3 * self.0.len()));
        composed.extend(self.0.nfc());
        composed
    }
}

impl From<String> for Password {
    fn from(typed: String) -> Self {
        Self(Zeroizing::new(typed))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The stored hash of a password, in the PHC text form. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash(pub String);

impl StoredHash {
    /// Whether passwords can be verified against this hash at all.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), BadHash> {
        Record::read(self).map(|_| ())
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredHash(..)")
    }
}

/// Why a stored hash is refused. No password matches such a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHash {
    /// It is not in the PHC text form, or lacks a field.
    #[error("the stored password hash is not a complete PHC string")]
    Unreadable,
    /// It was made in another way than argon2id, version 19.
    #[error("the stored password hash is not of the kind argon2id, version 19")]
    UnknownScheme,
    /// It asks for more than 64 MiB, 8 passes or 4 lanes, or is too short to mean anything.
    #[error("the stored password hash has parameters out of bounds")]
    Parameters,
}

/// What became of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is the one that was stored.
    pub matched: bool,
    /// Whether it matched a hash weaker than a new one, which is to be replaced.
    pub needs_rehash: bool,
}

/// Every place in the queue is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many sign-ins at once; try again in {retry_after_s} seconds")]
pub struct Busy {
    /// When to come again, in seconds.
    pub retry_after_s: u32,
}

/// The threads that hash passwords. They end by themselves once this is dropped and their memory
/// is given back.
#[derive(Debug)]
pub struct Passwords {
    pool: Arc<Pool>,
}

impl Passwords {
    /// Starts as many threads as there are cores, with [`WAITING_MAX`] places in the queue.
    ///
    /// # Errors
    ///
    /// The system starts no thread.
    pub fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self::start_with(cores, WAITING_MAX)
    }

    /// Starts so many threads with so many places in the queue.
    ///
    /// # Errors
    ///
    /// The system starts no thread.
    pub fn start_with(threads: NonZeroUsize, waiting_max: usize) -> io::Result<Self> {
        let pool = Arc::new(Pool::new(waiting_max, KEEP_MEMORY));
        let started = Self { pool };
        for _ in 0..threads.get() {
            let pool = Arc::clone(&started.pool);
            thread::Builder::new()
                .name("password".to_owned())
                .spawn(move || work(&pool))?;
        }
        Ok(started)
    }

    /// Verifies a password. Without a stored hash (an unknown name), or with one that is refused,
    /// nothing matches, after as much work as a verification takes.
    ///
    /// Dropping the future takes the job out of the queue if no thread has begun with it.
    ///
    /// # Errors
    ///
    /// [`Busy`] where the queue is full.
    pub async fn verify(
        &self,
        password: Password,
        stored: Option<StoredHash>,
    ) -> Result<Verdict, Busy> {
        let (reply, answer) = oneshot::channel();
        self.pool.push(Job::Verify {
            password,
            stored,
            reply,
        })?;
        answer.await.map_err(|_| BUSY)
    }

    /// Hashes a new password with a fresh salt, in the PHC text form.
    ///
    /// # Errors
    ///
    /// [`Busy`] where the queue is full.
    pub async fn hash(&self, password: Password, salt: [u8; SALT_BYTES]) -> Result<String, Busy> {
        let (reply, answer) = oneshot::channel();
        self.pool.push(Job::Hash {
            password,
            salt,
            reply,
        })?;
        answer.await.map_err(|_| BUSY)
    }
}

impl Drop for Passwords {
    fn drop(&mut self) {
        self.pool.close();
    }
}

const BUSY: Busy = Busy {
    retry_after_s: RETRY_AFTER_S,
};

#[derive(Debug)]
enum Job {
    Verify {
        password: Password,
        stored: Option<StoredHash>,
        reply: oneshot::Sender<Verdict>,
    },
    Hash {
        password: Password,
        salt: [u8; SALT_BYTES],
        reply: oneshot::Sender<String>,
    },
}

impl Job {
    /// Whether somebody still waits for the answer.
    fn is_wanted(&self) -> bool {
        match self {
            Self::Verify { reply, .. } => !reply.is_closed(),
            Self::Hash { reply, .. } => !reply.is_closed(),
        }
    }

    /// Does the job. Nobody may be left to hear the answer, which does no harm.
    fn run(self, memory: &mut Memory) {
        match self {
            Self::Verify {
                password,
                stored,
                reply,
            } => drop(reply.send(verify_with(memory, &password, stored.as_ref()))),
            Self::Hash {
                password,
                salt,
                reply,
            } => drop(reply.send(hash_with(memory, &password, salt))),
        }
    }
}

/// The bounded queue between the callers and the threads.
#[derive(Debug)]
struct Pool {
    queue: Mutex<Queue>,
    arrived: Condvar,
    waiting_max: usize,
    keep_memory: Duration,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// What a thread does next.
#[derive(Debug)]
enum Next {
    Run(Job),
    FreeMemory,
    End,
}

impl Pool {
    fn new(waiting_max: usize, keep_memory: Duration) -> Self {
        Self {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            waiting_max,
            keep_memory,
        }
    }

    fn push(&self, job: Job) -> Result<(), Busy> {
        let mut queue = self.locked();
        if queue.jobs.len() >= self.waiting_max {
            queue.jobs.retain(Job::is_wanted);
        }
        if queue.jobs.len() >= self.waiting_max {
            return Err(BUSY);
        }
        queue.jobs.push_back(job);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for the next job that somebody still wants. A thread that holds memory waits only for
    /// as long as memory is kept.
    fn next(&self, holds_memory: bool) -> Next {
        let mut queue = self.locked();
        loop {
            // Its memory is given back first: the allocator keeps what an ended thread left.
            if queue.closed && !holds_memory {
                return Next::End;
            }
            while let Some(job) = queue.jobs.pop_front() {
                if job.is_wanted() {
                    return Next::Run(job);
                }
            }
            if !holds_memory {
                queue = self
                    .arrived
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (woken, wait) = self
                .arrived
                .wait_timeout(queue, self.keep_memory)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if wait.timed_out() && queue.jobs.is_empty() {
                return Next::FreeMemory;
            }
        }
    }

    fn close(&self) {
        let mut queue = self.locked();
        queue.closed = true;
        // Whoever waits for one of these is answered now: its sender is gone.
        queue.jobs.clear();
        self.arrived.notify_all();
    }

    /// The queue is in order after each statement, so a panic elsewhere does not spoil it.
    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What each thread does until the pool is closed.
fn work(pool: &Pool) {
    lower_priority();
    let mut memory = Memory::default();
    loop {
        match pool.next(memory.is_held()) {
            Next::Run(job) => job.run(&mut memory),
            Next::FreeMemory => memory.free_more(),
            Next::End => return,
        }
    }
}

/// On Linux this counts for the calling thread alone.
fn lower_priority() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::warn!(%error, "password threads run at normal priority");
    }
}

/// The working memory of one thread.
#[derive(Default)]
struct Memory {
    blocks: Vec<Block>,
    /// Freed here, but not yet given back to the system.
    is_kept_by_allocator: bool,
}

impl Memory {
    fn is_held(&self) -> bool {
        !self.blocks.is_empty() || self.is_kept_by_allocator
    }

    fn of(&mut self, blocks: usize) -> &mut [Block] {
        if self.blocks.len() < blocks {
            // The old blocks go first, so that both are never held at once.
            self.blocks = Vec::new();
            self.blocks.resize(blocks, Block::new());
        }
        &mut self.blocks[..blocks]
    }

    /// Frees the memory, and the next time has the allocator give it back: it looks for what is
    /// due whenever something of this size is freed, and an idle gateway frees nothing else.
    fn free_more(&mut self) {
        self.is_kept_by_allocator = !self.blocks.is_empty();
        let freed = std::mem::take(&mut self.blocks);
        if freed.is_empty() {
            let looked_at = Vec::<Block>::with_capacity(Params::DEFAULT.block_count());
            drop(std::hint::black_box(looked_at));
        }
    }
}

fn verify_with(memory: &mut Memory, password: &Password, stored: Option<&StoredHash>) -> Verdict {
    let read = stored.map(Record::read).transpose();
    if let Err(problem) = &read {
        tracing::warn!(%problem, "a sign-in met a stored hash that cannot be used");
    }
    let known = read.ok().flatten();
    let is_known = known.is_some();
    let record = known.unwrap_or_else(Record::dummy);
    let equal = record
        .output_for(memory, password)
        .is_ok_and(|output| same_secret(&output, &record.output));
    let matched = is_known && equal;
    Verdict {
        matched,
        needs_rehash: matched && record.is_weak(),
    }
}

fn hash_with(memory: &mut Memory, password: &Password, salt: [u8; SALT_BYTES]) -> String {
    let record = Record {
        salt: salt.to_vec(),
        ..Record::dummy()
    };
    let output = record.output_for(memory, password);
    // Only a password of more than 4 GiB could fail; no request is that long.
    assert!(output.is_ok(), "fixed parameters are refused: {output:?}");
    format!(
        "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(output.unwrap_or_default()),
    )
}

/// A stored hash, read and found within bounds.
struct Record {
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Record {
    fn read(stored: &StoredHash) -> Result<Self, BadHash> {
        let hash = PasswordHash::new(&stored.0).map_err(|_| BadHash::Unreadable)?;
        if hash.algorithm != argon2::ARGON2ID_IDENT || hash.version != Some(Version::V0x13.into()) {
            return Err(BadHash::UnknownScheme);
        }
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else {
            return Err(BadHash::Unreadable);
        };
        let number = |name: &str| hash.params.get_decimal(name).ok_or(BadHash::Unreadable);
        Ok(Self {
            params: bounded_params([number("m")?, number("t")?, number("p")?], output.len())?,
            salt: salt.to_vec(),
            output: output.as_bytes().to_vec(),
        })
    }

    /// What is worked on where there is nothing to compare with. It has the parameters of a new
    /// hash, so it takes the same time.
    fn dummy() -> Self {
        Self {
            params: Params::DEFAULT,
            salt: vec![0; SALT_BYTES],
            output: vec![0; OUTPUT_BYTES],
        }
    }

    fn output_for(&self, memory: &mut Memory, password: &Password) -> argon2::Result<Vec<u8>> {
        let mut output = vec![0; self.output.len()];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone())
            .hash_password_into_with_memory(
                password.composed().as_bytes(),
                &self.salt,
                &mut output,
                memory.of(self.params.block_count()),
            )?;
        Ok(output)
    }

    /// Whether a new hash would be stronger in any respect. A stronger one is never replaced.
    fn is_weak(&self) -> bool {
        self.params.m_cost() < MEMORY_KIB
            || self.params.t_cost() < PASSES
            || self.salt.len() < SALT_BYTES
            || self.output.len() < OUTPUT_BYTES
    }
}

fn bounded_params(
    [memory_kib, passes, lanes]: [u32; 3],
    output_bytes: usize,
) -> Result<Params, BadHash> {
    let in_bounds = memory_kib <= MEMORY_KIB_MAX
        && passes <= PASSES_MAX
        && lanes <= LANES_MAX
        && output_bytes >= OUTPUT_BYTES_MIN;
    if !in_bounds {
        return Err(BadHash::Parameters);
    }
    Params::new(memory_kib, passes, lanes, Some(output_bytes)).map_err(|_| BadHash::Parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Hashes of "correct horse", made by the reference implementation.
    const CURRENT: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$oVLnFW4Vdd+KZaNyuHNZYDlTeeRDSkyoACLFGAAhgLc";
    const STRONGER: &str = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM0NTY3OA$B/amrRUxAwSCPRgKPr7MsU9bSHzgXripXVHqfXK0H2I";
    const WEAKER: &str = "$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$s3R/7IU5wRWRIRBUu6sza8EYWZVuxasiZmar9lbxhLg";
    const SHORTER: &str =
        "$argon2id$v=19$m=4096,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$9wIhv5sBFUNWr0HHFOed8w";

    fn password(typed: &str) -> Password {
        Password::from(typed.to_owned())
    }

    fn stored(text: &str) -> StoredHash {
        StoredHash(text.to_owned())
    }

    fn verdict(typed: &str, hash: &str) -> Verdict {
        verify_with(
            &mut Memory::default(),
            &password(typed),
            Some(&stored(hash)),
        )
    }

    fn pool_without_threads(waiting_max: usize) -> Pool {
        Pool::new(waiting_max, Duration::ZERO)
    }

    /// A job that can be told from others by its password.
    fn job(typed: &str) -> (Job, oneshot::Receiver<Verdict>) {
        let (reply, answer) = oneshot::channel();
        let job = Job::Verify {
            password: password(typed),
            stored: None,
            reply,
        };
        (job, answer)
    }

    fn typed_in(next: Next) -> String {
        match next {
            Next::Run(Job::Verify { password, .. }) => password.as_str().to_owned(),
            other => panic!("no verification: {other:?}"),
        }
    }

    #[test]
    fn hashes_of_the_reference_implementation_match() {
        for (hash, needs_rehash) in [
            (CURRENT, false),
            (STRONGER, false),
            (WEAKER, true),
            (SHORTER, true),
        ] {
            let expected = Verdict {
                matched: true,
                needs_rehash,
            };
            assert_eq!(verdict("correct horse", hash), expected, "{hash}");
            assert!(!verdict("wrong horse", hash).matched, "{hash}");
        }
        assert!(!verdict("wrong horse", WEAKER).needs_rehash);
    }

    #[test]
    fn a_new_hash_is_written_as_the_reference_implementation_writes_it() {
        let hash = hash_with(
            &mut Memory::default(),
            &password("correct horse"),
            *b"somesalt12345678",
        );
        assert_eq!(hash, CURRENT);
    }

    #[test]
    fn a_password_counts_as_typed_however_its_accents_are_composed() {
        let mut memory = Memory::default();
        let long = "x".repeat(1_000);
        let nul = "before\0after";
        for typed in [" spaced ", "caf\u{e9}", nul, "🔑", "        ", "", &long] {
            let hash = stored(&hash_with(&mut memory, &password(typed), [1; 16]));
            let others = [
                typed.trim(),
                &typed.to_uppercase(),
                "cafe",
                "before",
                &long[..999],
            ];
            let mut matched =
                |typed| verify_with(&mut memory, &password(typed), Some(&hash)).matched;
            assert!(matched(typed), "{typed:?}");
            assert_eq!(matched("cafe\u{301}"), typed == "caf\u{e9}");
            for other in others.into_iter().filter(|&other| other != typed) {
                assert!(!matched(other), "{other:?} for {typed:?}");
            }
        }
    }

    #[test]
    fn nothing_matches_an_unknown_name() {
        let mut memory = Memory::default();
        let verdict = verify_with(&mut memory, &password("correct horse"), None);
        assert_eq!(
            verdict,
            Verdict {
                matched: false,
                needs_rehash: false
            }
        );
        assert!(memory.is_held(), "the same work is done");
    }

    #[test]
    fn p_11_a_hash_that_cannot_be_right_is_refused_without_its_memory() {
        let salt_and_hash = CURRENT.split_once("p=1").unwrap().1;
        let with = |start: &str| format!("{start}{salt_and_hash}");
        for (hash, expected) in [
            (String::new(), BadHash::Unreadable),
            ("correct horse".to_owned(), BadHash::Unreadable),
            (
                with("$argon2id$v=19$m=4294967295,t=2,p=1"),
                BadHash::Parameters,
            ),
            (with("$argon2id$v=19$m=65537,t=2,p=1"), BadHash::Parameters),
            (with("$argon2id$v=19$m=19456,t=9,p=1"), BadHash::Parameters),
            (with("$argon2id$v=19$m=19456,t=2,p=5"), BadHash::Parameters),
            (with("$argon2id$v=19$m=19456,t=0,p=1"), BadHash::Parameters),
            (with("$argon2id$v=19$m=7,t=2,p=1"), BadHash::Parameters),
            (with("$argon2id$v=19$m=19456,t=2,p=0"), BadHash::Parameters),
            (
                with("$argon2id$v=19$m=99999999999,t=2,p=1"),
                BadHash::Unreadable,
            ),
            (with("$argon2id$v=19$m=19456,t=2"), BadHash::Unreadable),
            (with("$argon2id$m=19456,t=2,p=1"), BadHash::UnknownScheme),
            (
                with("$argon2id$v=16$m=19456,t=2,p=1"),
                BadHash::UnknownScheme,
            ),
            (
                with("$argon2i$v=19$m=19456,t=2,p=1"),
                BadHash::UnknownScheme,
            ),
            (with("$scrypt$v=19$m=19456,t=2,p=1"), BadHash::UnknownScheme),
            (
                "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA".to_owned(),
                BadHash::Unreadable,
            ),
            (
                "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$AAAAAAAAAAAAAAAA".to_owned(),
                BadHash::Parameters,
            ),
            (
                "$2b$12$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyz01234".to_owned(),
                BadHash::Unreadable,
            ),
        ] {
            assert_eq!(stored(&hash).check(), Err(expected), "{hash}");
            let mut memory = Memory::default();
            let verdict = verify_with(
                &mut memory,
                &password("correct horse"),
                Some(&stored(&hash)),
            );
            assert!(!verdict.matched && !verdict.needs_rehash, "{hash}");
            assert_eq!(
                memory.blocks.len(),
                19 * 1024,
                "the work of a dummy: {hash}"
            );
        }
        assert_eq!(stored(CURRENT).check(), Ok(()));
    }

    #[tokio::test]
    async fn what_was_hashed_verifies_on_the_threads() {
        let passwords = Passwords::start_with(NonZeroUsize::MIN, 4).unwrap();
        let hash = passwords
            .hash(password("correct horse"), [3; 16])
            .await
            .unwrap();
        let hash = stored(&hash);
        let (right, wrong, unknown) = tokio::join!(
            passwords.verify(password("correct horse"), Some(hash.clone())),
            passwords.verify(password("wrong horse"), Some(hash)),
            passwords.verify(password("correct horse"), None),
        );
        assert!(right.unwrap().matched);
        assert!(!wrong.unwrap().matched);
        assert!(!unknown.unwrap().matched);
    }

    #[test]
    fn a_full_queue_takes_nobody_and_says_when_to_come_again() {
        let pool = pool_without_threads(2);
        let (jobs, _answers): (Vec<Job>, Vec<_>) =
            ["one", "two", "three"].map(job).into_iter().unzip();
        let taken: Vec<_> = jobs.into_iter().map(|job| pool.push(job)).collect();
        assert_eq!(taken, [Ok(()), Ok(()), Err(Busy { retry_after_s: 2 })]);
        assert_eq!(typed_in(pool.next(false)), "one");
        assert_eq!(pool.push(job("four").0), Ok(()));
    }

    #[test]
    fn jobs_that_nobody_waits_for_are_skipped_and_give_their_places_up() {
        let pool = pool_without_threads(2);
        let (first, first_answer) = job("gone");
        let (second, _second_answer) = job("second");
        let (third, _third_answer) = job("third");
        pool.push(first).unwrap();
        pool.push(second).unwrap();
        drop(first_answer);
        assert_eq!(pool.push(third), Ok(()));
        assert_eq!(typed_in(pool.next(false)), "second");
        assert_eq!(typed_in(pool.next(false)), "third");

        let (last, last_answer) = job("gone as well");
        pool.push(last).unwrap();
        drop(last_answer);
        assert!(matches!(pool.next(true), Next::FreeMemory));
    }

    #[test]
    fn an_idle_thread_is_told_to_free_its_memory() {
        let pool = pool_without_threads(1);
        assert!(matches!(pool.next(true), Next::FreeMemory));
        let mut memory = Memory::default();
        assert!(!memory.is_held());
        assert_eq!(memory.of(8).len(), 8);
        assert!(memory.is_held());
        assert_eq!(memory.of(4).len(), 4, "a smaller need uses the same memory");
        assert_eq!(memory.blocks.len(), 8);
        assert_eq!(memory.of(16).len(), 16);
        memory.free_more();
        assert!(memory.blocks.is_empty());
        assert!(memory.is_held(), "the allocator has it still");
        memory.free_more();
        assert!(!memory.is_held());
    }

    #[tokio::test]
    async fn a_closed_pool_answers_whoever_waits() {
        let pool = pool_without_threads(1);
        let (job, answer) = job("late");
        pool.push(job).unwrap();
        pool.close();
        assert!(answer.await.is_err());
        assert!(matches!(pool.next(false), Next::End));
    }

    #[test]
    fn passwords_and_hashes_are_not_shown() {
        let shown = format!("{:?} {:?}", password("s3cret"), stored(CURRENT));
        assert_eq!(shown, "Password(..) StoredHash(..)");
        let read: Password = serde_json::from_str("\" s3cret \"").unwrap();
        assert_eq!(read.as_str(), " s3cret ");
    }
}
