//! The sandbox for a circuit's wasm: no files, clock or network; limits on memory and time.
//!
//! A module can import circom's five callbacks and nothing else. Each run has a separate instance and
//! a separate thread, whose stack is larger than the part that wasm may use. The calling thread waits
//! with a timeout and increments the engine's epoch when the time is over.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use wasmtime::{
    Caller, Config, Engine, Func, Instance, Linker, Memory, Module, OptLevel, ResourceLimiter,
    Store, Trap, TypedFunc, UpdateDeadline, Val, WasmFeatures,
};
use zeroize::Zeroize;

use crate::{Limits, ModuleError, RunError};

/// Stack limit of wasm in bytes, about that of JavaScript engines.
const WASM_STACK: usize = 1 << 20;
/// Stack of a run's thread in bytes: the module's part and the host's part.
const THREAD_STACK: usize = WASM_STACK + (1 << 20);
/// Maximum number of entries of a function table. Circom makes one per template; large circuits have
/// about ten thousand.
const TABLE_LIMIT: usize = 1 << 20;
/// Maximum length of an error trace from the module, in bytes.
const TRACE_LIMIT: usize = 2048;
/// Time limit of a run without another limit.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Set of wasm features that a module may use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The features that circom emits.
    Circom,
    /// Also the features of the replaced routines.
    Native,
}

/// An engine that compiles and runs a dialect and refuses other wasm features.
pub(crate) fn engine(dialect: Dialect) -> Result<Engine, ModuleError> {
    let mut config = Config::new();
    let native = WasmFeatures::WIDE_ARITHMETIC | WasmFeatures::SIMD;
    config
        .wasm_features(WasmFeatures::all(), false)
        // Integers and memory, and the extensions that wasm optimisers use by default.
        .wasm_features(
            WasmFeatures::MUTABLE_GLOBAL
                | WasmFeatures::SIGN_EXTENSION
                | WasmFeatures::BULK_MEMORY
                | WasmFeatures::MULTI_VALUE,
            true,
        )
        .wasm_features(native, dialect == Dialect::Native)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .wasm_backtrace_max_frames(None);
    Engine::new(&config).map_err(|error| ModuleError::Runtime(error.to_string()))
}

/// The callbacks that circom's modules may import, all from `runtime`.
pub(crate) const IMPORTS: [&str; 5] = [
    "exceptionHandler",
    "printErrorMessage",
    "writeBufferMessage",
    "showSharedRWMemory",
    "printDebug",
];

/// A compiled module and its bounds.
pub(crate) struct Sandbox {
    linker: Linker<Host>,
    module: Module,
    memory_limit: usize,
    time_limit: Duration,
}

/// Host state of a running module.
struct Host {
    memory_limit: usize,
    trace: String,
}

/// Why the host stopped a module; passed through wasmtime's error type.
#[derive(Clone, Debug)]
struct Stop(RunError);

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Stop {}

impl ResourceLimiter for Host {
    fn memory_growing(
        &mut self,
        _current: usize,
        wanted: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.memory_limit;
        if wanted > limit {
            return Err(Stop(RunError::Memory { wanted, limit }).into());
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        wanted: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if wanted > TABLE_LIMIT {
            return Err(Stop(RunError::Table { wanted, limit: TABLE_LIMIT }).into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }
}

impl Sandbox {
    /// Links the callbacks of `module`. Its imports have been checked to be in [`IMPORTS`].
    pub(crate) fn new(module: Module, limits: &Limits) -> Result<Self, ModuleError> {
        let mut linker = Linker::new(module.engine());
        define_imports(&mut linker).map_err(|error| ModuleError::Runtime(error.to_string()))?;
        Ok(Self { linker, module, memory_limit: limits.memory_bytes, time_limit: limits.time })
    }

    /// Runs `work` on a fresh instance, within the limits, on a separate thread.
    pub(crate) fn run<R: Send, E: From<RunError> + Send>(
        &self,
        work: impl FnOnce(&mut Run) -> Result<R, E> + Send,
    ) -> Result<R, E> {
        self.run_bare(|run| {
            run.find_exchange()?;
            work(run)
        })
    }

    /// As [`run`](Self::run), for a module without circom's interface, with only a memory and functions.
    pub(crate) fn run_bare<R: Send, E: From<RunError> + Send>(
        &self,
        work: impl FnOnce(&mut Run) -> Result<R, E> + Send,
    ) -> Result<R, E> {
        let start = Instant::now();
        let deadline = start.checked_add(self.time_limit).unwrap_or(start + LONGEST);
        // Set the deadline before the timeout starts: an earlier increment of the epoch would be missed.
        let store = self.store(deadline);
        thread::scope(|scope| {
            let (running, ended) = mpsc::channel::<()>();
            let worker = thread::Builder::new()
                .name("circom-witness".to_owned())
                .stack_size(THREAD_STACK)
                .spawn_scoped(scope, move || {
                    let _running = running;
                    work(&mut Run::start(store, &self.linker, &self.module)?)
                })
                .map_err(|error| RunError::Thread { why: error.to_string() })?;
            let left = deadline.saturating_duration_since(Instant::now());
            if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                self.linker.engine().increment_epoch();
            }
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn store(&self, deadline: Instant) -> Store<Host> {
        let host = Host { memory_limit: self.memory_limit, trace: String::new() };
        let mut store = Store::new(self.linker.engine(), host);
        store.limiter(|host| host);
        store.set_epoch_deadline(1);
        // Runs share the engine's epoch: a run whose time is not over continues.
        let limit = self.time_limit;
        store.epoch_deadline_callback(move |_| {
            if Instant::now() < deadline {
                Ok(UpdateDeadline::Continue(1))
            } else {
                Err(Stop(RunError::Deadline { limit }).into())
            }
        });
        store
    }
}

/// Number of 32-bit words in a field element of the supported curves.
pub(crate) const FIELD_WORDS: u32 = 8;
const FIELD_BYTES: usize = 4 * FIELD_WORDS as usize;

/// One run: an instance, its memory and its functions. The memory is wiped on drop.
pub(crate) struct Run {
    store: Store<Host>,
    memory: Memory,
    instance: Instance,
    exchange: usize,
}

impl Run {
    fn start(
        mut store: Store<Host>,
        linker: &Linker<Host>,
        module: &Module,
    ) -> Result<Self, RunError> {
        let instance = linker
            .instantiate(&mut store, module)
            .map_err(|error| classify(&error, store.data()))?;
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(no_memory)?;
        Ok(Self { store, memory, instance, exchange: 0 })
    }

    /// Reads the address of the exchange area for values.
    fn find_exchange(&mut self) -> Result<(), RunError> {
        let exchange: i32 = self.call("getSharedRWMemoryStart", ())?;
        self.exchange = exchange as u32 as usize;
        Ok(())
    }

    /// Looks up one of the module's functions.
    pub(crate) fn function<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(
        &mut self,
        name: &'static str,
    ) -> Result<TypedFunc<P, R>, RunError> {
        self.instance
            .get_typed_func(&mut self.store, name)
            .map_err(|error| RunError::Trap { what: error.to_string() })
    }

    /// Calls a function from a look-up.
    pub(crate) fn invoke<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        parameters: P,
    ) -> Result<R, RunError> {
        function
            .call(&mut self.store, parameters)
            .map_err(|error| classify(&error, self.store.data()))
    }

    /// Looks up and calls.
    pub(crate) fn call<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(
        &mut self,
        name: &'static str,
        parameters: P,
    ) -> Result<R, RunError> {
        let function = self.function(name)?;
        self.invoke(&function, parameters)
    }

    /// Looks up a function of any type.
    pub(crate) fn any_function(&mut self, name: &str) -> Result<Func, RunError> {
        let missing = || RunError::Trap { what: format!("it has no function `{name}`") };
        self.instance.get_func(&mut self.store, name).ok_or_else(missing)
    }

    /// Calls a function with integer parameters and at most one result.
    pub(crate) fn invoke_any(
        &mut self,
        function: &Func,
        parameters: &[i32],
    ) -> Result<Option<i32>, RunError> {
        let parameters: Vec<Val> = parameters.iter().copied().map(Val::I32).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        function
            .call(&mut self.store, &parameters, &mut results)
            .map_err(|error| classify(&error, self.store.data()))?;
        Ok(results.first().and_then(Val::i32))
    }

    /// Copies bytes out of the module's memory.
    pub(crate) fn read(&self, at: usize, bytes: &mut [u8]) -> Result<(), RunError> {
        self.memory.read(&self.store, at, bytes).map_err(|_| outside())
    }

    /// Copies bytes into the module's memory.
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), RunError> {
        self.memory.write(&mut self.store, at, bytes).map_err(|_| outside())
    }

    /// Grows the module's memory and returns the address of the new part; `None` if the limits forbid it.
    pub(crate) fn grow(&mut self, bytes: usize) -> Option<usize> {
        let at = self.memory.data_size(&self.store);
        let pages = bytes.div_ceil(self.memory.page_size(&self.store) as usize) as u64;
        // An address in the module has 32 bits.
        let fits = u32::try_from(at.checked_add(bytes)?).is_ok();
        (fits && self.memory.grow(&mut self.store, pages).is_ok()).then_some(at)
    }

    /// Current size of the module's linear memory in bytes.
    pub(crate) fn memory_size(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// The field element in the exchange area; `readSharedRWMemory` returns it word by word.
    pub(crate) fn read_element(&self) -> Result<[u64; 4], RunError> {
        self.element(self.exchange)
    }

    /// The field element at an address.
    pub(crate) fn element(&self, at: usize) -> Result<[u64; 4], RunError> {
        let bytes = self
            .memory
            .data(&self.store)
            .get(at..)
            .and_then(|rest| rest.first_chunk::<FIELD_BYTES>())
            .ok_or_else(outside)?;
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Ok(words)
    }

    /// Writes a field element to the exchange area; `writeSharedRWMemory` writes it word by word.
    pub(crate) fn write_element(&mut self, words: &[u64; 4]) -> Result<(), RunError> {
        let bytes = self
            .memory
            .data_mut(&mut self.store)
            .get_mut(self.exchange..)
            .and_then(|rest| rest.first_chunk_mut::<FIELD_BYTES>())
            .ok_or_else(outside)?;
        for (word, bytes) in words.iter().zip(bytes.as_chunks_mut::<8>().0) {
            *bytes = word.to_le_bytes();
        }
        Ok(())
    }
}

impl Run {
    /// Zeroes the module's memory.
    fn wipe(&mut self) {
        // Pages that are zero are not written, so that untouched pages are not allocated.
        for page in self.memory.data_mut(&mut self.store).chunks_mut(4096) {
            if page.iter().any(|&byte| byte != 0) {
                page.zeroize();
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.wipe();
    }
}

fn no_memory() -> RunError {
    RunError::Trap { what: "it has no memory of its own".to_owned() }
}

fn outside() -> RunError {
    RunError::Trap { what: "its exchange area lies outside its memory".to_owned() }
}

/// Converts a wasmtime error into the error of a run.
fn classify(error: &wasmtime::Error, host: &Host) -> RunError {
    if let Some(Stop(mut why)) = error.downcast_ref::<Stop>().cloned() {
        if let RunError::Exception { trace, .. } = &mut why {
            trace.clone_from(&host.trace);
        }
        return why;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => RunError::Stack,
        Some(trap) => RunError::Trap { what: trap.to_string() },
        None => RunError::Trap { what: error.to_string() },
    }
}

fn define_imports(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap("runtime", "exceptionHandler", |code: i32| -> wasmtime::Result<()> {
        let meaning = match code {
            1 => "signal not found",
            2 => "too many signals set",
            3 => "signal already set",
            4 => "assertion failed",
            5 => "not enough memory",
            6 => "access beyond an input array",
            _ => "unknown",
        };
        Err(Stop(RunError::Exception { code, meaning, trace: String::new() }).into())
    })?;
    linker.func_wrap("runtime", "printErrorMessage", collect_message)?;
    // The output of `log()` may be secret, so it is discarded.
    linker.func_wrap("runtime", "writeBufferMessage", || {})?;
    linker.func_wrap("runtime", "showSharedRWMemory", || {})?;
    linker.func_wrap("runtime", "printDebug", |_: i32| {})?;
    Ok(())
}

/// Reads one line of an error's trace from the module, character by character.
fn collect_message(mut caller: Caller<'_, Host>) -> wasmtime::Result<()> {
    let Some(next) = caller.get_export("getMessageChar").and_then(|export| export.into_func())
    else {
        return Ok(());
    };
    let next = next.typed::<(), i32>(&caller)?;
    if !caller.data().trace.is_empty() {
        caller.data_mut().trace.push_str("; ");
    }
    while caller.data().trace.len() < TRACE_LIMIT {
        let code = next.call(&mut caller, ())?;
        match u8::try_from(code) {
            Ok(0 | b'\n') => break,
            Ok(byte @ b' '..=b'~') => caller.data_mut().trace.push(byte.into()),
            // The text is untrusted and may be printed on a terminal.
            _ => caller.data_mut().trace.push('?'),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_memory_is_zero_after_it() {
        let engine = engine(Dialect::Circom).unwrap();
        let text = r#"(module
            (memory (export "memory") 3)
            (data (i32.const 5) "secret") (data (i32.const 140000) "secret")
            (func (export "getSharedRWMemoryStart") (result i32) (i32.const 8192)))"#;
        let module = Module::from_binary(&engine, &wat::parse_str(text).unwrap()).unwrap();
        let sandbox = Sandbox::new(module, &Limits::default()).unwrap();
        let written = |run: &Run| run.memory.data(&run.store).iter().filter(|&&b| b != 0).count();
        let done: Result<(), RunError> = sandbox.run(|run| {
            run.write_element(&[u64::MAX; 4])?;
            assert_eq!(run.read_element()?, [u64::MAX; 4]);
            assert_eq!(written(run), 6 + 6 + 32);
            run.wipe();
            assert_eq!(written(run), 0);
            Ok(())
        });
        done.unwrap();
    }
}
