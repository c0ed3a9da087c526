//go:build !race

package arch

// floors is policy: a package imports only packages on lower floors, and no siblings. A
// package may be listed before it exists. Change the list by decision, never to make a
// build pass.
var floors = []string{
	"kernel frame retry pool certs activation internal/timerheap internal/chunks internal/pages internal/phases internal/eyeballs internal/linked internal/lockfile internal/leaktest internal/hosttest internal/notifytest internal/terminal",
	"kernel/probe kernel/native kernel/kerneltest logqueue internal/tlstest",
	"reactor",
	"deferred internal/program",
	"sim receiver coro flow process device foreign",
	"sim/report sim/fleet sim/clock testworld testworld/transporttest tlsio netconn",
	"dns endpoint handover websocket sim/simmain testworld/double",
	"endpoint/std service",
	". examples/chat/room examples/reconnect/watch examples/lease/lease examples/discovery/leasing examples/supervisor/supervise examples/resp/kv examples/rpc/rpc examples/smtp/mail examples/socks5/socks",
	"examples/worlds",
	"cmd/whorl examples/...",
}

// programs is the floor of packages with a main function. No package may be above it.
const programs = 10

// beside lists packages that stand beside the floors. They may look at all floors, and
// nobody imports them.
const beside = "internal/arch internal/promises internal/docs"

// testSiblings are the siblings that tests inside a package may import, with the reason.
var testSiblings = map[string]map[string]string{
	"kernel/native": {"kernel/kerneltest": "every back end passes the suite, also with what only it can see"},
}

// allowed says which packages may import which other module, and why. A dependency enters
// on the floor that needs it, and nowhere below.
var allowed = []dependency{
	{"golang.org/x/sys", "kernel/native kernel/kerneltest internal/terminal internal/hosttest process device activation", "the system calls that package syscall lacks"},
	{"golang.org/x/net/idna", "certs", "host names in other scripts: the tables and rules of IDNA are no hand's work"},
	{"github.com/gobwas/ws", "websocket", "the format of frames and close codes of WebSockets"},
	{"github.com/alecthomas/kong", "cmd/whorl", "flags, commands and their help"},
}

// allowedInTests are the modules that any test may import as well.
var allowedInTests = []dependency{
	{"golang.org/x/sys", "", "tests of descriptors and socket options"},
	{"golang.org/x/net/nettest", "", "the suite of net.Conn"},
	{"github.com/rogpeppe/go-internal/testscript", "", "scripts for the command line"},
	{"pgregory.net/rapid", "", "properties"},
	{"github.com/gobwas/ws", "", "a library written for blocking connections, as a coroutine runs it"},
}

// dependency is a module, or a package of one, with the packages that may import it and
// the reason.
type dependency struct {
	path, packages, because string
}

// bans are what code must not use. Tests may.
var bans = []ban{
	{
		what: "time.Now time.Since time.Until",
		except: exceptions{
			"internal/notifytest": "the messages of a real process come in real time",
			"internal/hosttest":   "a cable comes up in real time",
			"coro/deadline.go":    "a net.Conn is given its deadlines in the system's time, and must know how far away they are",
			"netconn/gate.go":     "a deadline of a net.Conn is a time of the system's clock; how long that is from now, the loop's timer waits",
			"kernel/native":       "asks the system",
			"sim/test.go":         "tells how many seeds a second were run; no run sees it",

			"examples/websocket/load": "measures a server in another process",
		},
		because: "one clock: Reactor.Now",
	},
	{
		what: "time.Sleep",
		except: exceptions{
			"testworld":         "a simulated world gives goroutines outside of it a moment of real time",
			"internal/leaktest": "goroutines that are about to end get a moment of real time",

			"examples/websocket/load": "measures a server in another process",
		},
		because: "nothing waits on the loop",
	},
	{
		what: "time.After time.AfterFunc time.NewTimer time.NewTicker time.Tick",
		except: exceptions{
			"kernel/kerneltest":           "a watchdog names the subtest in which a kernel hangs",
			"reactor/grouprun.go":         "limits the stop of a group, any of whose loops may be the one that does not come back from a callback",
			"internal/program/signals.go": "gives signals back after the end of the loop, or while a callback blocks it; no simulated run does",
		},
		because: "one queue of timers, and it follows the kernel's clock: Reactor.CallLater",
	},
	{
		what: "go",
		except: exceptions{
			"reactor/grouprun.go": "each loop of a group runs on a goroutine of its own",
			"reactor/workers.go":  "joins the pool at shutdown while the loop still answers its workers",
			"pool":                "its workers are what blocking work runs on",
			"kernel/native":       "signals arrive on a goroutine of their own",
			"testworld":           "real worlds run beside the test",
			"cmd/whorl":           "a program may read a terminal while its loop runs",
			"sim/fleet":           "processes say what became of their seeds while the loop runs, and a worker ends when its parent does, even during a run",
			"sim/test.go":         "runs of different seeds share nothing, so that several go at a time",

			"process/stdio_console_unix.go": "a signal that ends the program is sent again when it was given back, and the goroutine that got it cannot give it back",

			"examples/websocket":      "net/http serves on goroutines",
			"examples/websocket/load": "waits for other processes",

			"netconn/hub.go": "nobody else could tell goroutines that wait that a reactor has died without a word to its connections",

			"internal/tlstest": "the server of a handshake runs beside the client, in tests",
		},
		because: "one goroutine owns the loop's world; work for others goes through the pool",
	},
	{
		what: "import:math/rand import:math/rand/v2",
		except: exceptions{
			"cmd/whorl":            "somebody has to draw the first seed",
			"examples/reconnect":   "a program draws its own seed",
			"examples/lease":       "a program draws its own seed",
			"examples/discovery":   "a program draws its own seed",
			"examples/supervisor":  "a program draws its own seed",
			"examples/rpc/main.go": "a program draws its own seed",
		},
		because: "the random source is given, so that a seed is a run",
	},
	{
		what:    "range:map maps.Keys maps.Values maps.All",
		in:      "sim reactor kernel/native frame",
		because: "order would differ from run to run; use a slice, or slices.Sorted(maps.Keys(m))",
	},
	{
		what:    "context.WithTimeout context.WithDeadline context.WithTimeoutCause context.WithDeadlineCause",
		below:   programs,
		except:  exceptions{"internal/program/logs.go": "waits for the log after the end of the loop, when no clock but the system's is left"},
		because: "its clock is not the loop's, and a simulated run would depend on the real one",
	},
	{
		what:  "os.Getenv os.LookupEnv",
		below: programs,
		except: exceptions{
			"kernel/native":            "may look at GODEBUG, as the standard library does",
			"sim/simmain/terminal.go":  "TERM says whether a terminal can go back to the beginning of a line; only the progress bar asks",
			"activation/activation.go": "the protocol by which a service manager passes sockets is the environment; a program asks for them",
			"sim/environment.go":       "WHORL_SEED, WHORL_SEEDS and WHORL_FAULTS say which runs a test makes; no run depends on them otherwise",
		},
		because: "no configuration by environment",
	},
	{
		what:    "import:log fmt.Print fmt.Printf fmt.Println builtin:print builtin:println",
		below:   programs,
		because: "a library is silent unless it was given a logger: Config.Logger",
	},
	{
		what:    "func:init",
		because: "importing a package does nothing",
	},
	{
		what:    "import:.",
		because: "a reader must see where a name comes from",
	},
}

// ban is one entry of bans. what is a list of names, each of one of these forms: a
// package and a name that it exports, such as time.Now; go; import:path; func:init;
// range:map; builtin:name.
type ban struct {
	what    string
	in      string     // the packages it applies to; empty: all
	below   int        // it applies below this floor; 0: on all floors
	except  exceptions // where it does not apply
	because string
}

// exceptions are packages or files, with the reason.
type exceptions map[string]string

// makers are the functions whose results a package-level variable may hold: errors, and
// values that nothing can change.
var makers = []string{
	"errors.New", "fmt.Errorf", "Sentinel", "kernel.Sentinel",
	"regexp.MustCompile",
	"netip.MustParseAddr", "netip.MustParsePrefix", "netip.MustParseAddrPort",
}

// The greatest lengths that are allowed, in lines.
const (
	fileLines     = 600
	funcLines     = 69
	testFuncLines = 119
)

// emptyNames are package names that do not say what the package is for.
var emptyNames = []string{"util", "utils", "common", "base", "core", "helper", "helpers", "types", "pkg"}

// wrapped are the interfaces whose capabilities are found through wrappers. A type that
// implements one and holds one must have Unwrap.
var wrapped = []string{"reactor.Transport", "reactor.Protocol", "reactor.Factory", "reactor.PacketProtocol", "process.Protocol", "kernel.Kernel", "kernel.Conn", "kernel.Listener"}

// capabilities are the interfaces that only some kernels, conns, transports, protocols
// and factories implement. They are found through wrappers, with kernel.As,
// kernel.ConnAs, reactor.As, reactor.ProtocolAs, reactor.FactoryAs and reactor.PacketProtocolAs.
var capabilities = []string{
	"kernel.Vectors", "kernel.Files", "kernel.TCPConn", "kernel.Watcher", "kernel.Watched", "kernel.Halves", "kernel.Reserver", "kernel.Signals", "kernel.Spawner", "kernel.Worker", "kernel.Mover", "kernel.Steerer", "kernel.Named", "kernel.FileOwner",
	"kernel/probe.Observer", "kernel/probe.Forcer", "kernel/probe.Explorer",
	"reactor.HalfCloser", "reactor.Producer", "reactor.Consumer", "reactor.Vectored", "reactor.FileSender", "reactor.Switcher",
	"reactor.HalfCloseListener", "reactor.Layer", "reactor.LogPrefixer", "reactor.StartStopper", "reactor.ConnectorListener",
	"reactor.PacketsReceiver", "reactor.DatagramRefusalListener", "reactor.SendFailureListener",
	"process.ExitListener", "process.OutputReceiver", "process.ErrorReceiver",
}

// assertingFiles may assert capabilities without looking through wrappers, for this
// reason.
var assertingFiles = map[string]string{
	"reactor/factory.go": "a use of each factory in a chain of wrappers is counted, so each is asked for itself",
}

// notWrappers are types that implement one of wrapped and hold one, but do not wrap it,
// with the reason.
var notWrappers = map[string]string{
	"reactor.Base": "holds the transport for the protocol that embeds it",
}

// systems are the systems for which the source is checked. At least one of them must
// build each file. Otherwise the rules would not see it.
var systems = []system{
	{"linux", "amd64", ""},
	{"linux", "arm64", ""},
	{"linux", "386", ""},
	{"linux", "amd64", "race"},
	{"darwin", "arm64", ""},
	{"freebsd", "amd64", ""},
	{"openbsd", "amd64", ""},
	{"netbsd", "amd64", ""},
	{"windows", "amd64", ""},
}

// system is one set of build constraints.
type system struct{ goos, goarch, tag string }
