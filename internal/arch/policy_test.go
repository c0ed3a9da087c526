//go:build !race

package arch

// floors is policy: a package imports only packages on lower floors, and no
// siblings. Packages may stand here before they exist. Change it by decision,
// never to make a build pass.
var floors = []string{
	"kernel frame retry pool certs internal/timerheap internal/chunks internal/phases internal/eyeballs",
	"kernel/probe kernel/native kernel/kerneltest",
	"reactor",
	"deferred",
	"sim receiver coro flow process device foreign",
	"sim/report sim/fleet testworld testworld/transporttest tlsio netconn",
	"dns endpoint sim/simmain",
	"endpoint/std service",
	". examples/chat/room examples/reconnect/watch examples/lease/lease",
	"examples/worlds",
	"cmd/whorl examples/...",
}

// programs is the floor of what has a main; nothing may be built on it.
const programs = 10

// beside stands next to the floors: it may look at all of them, and nobody
// imports it.
const beside = "internal/arch internal/promises internal/docs"

// testSiblings are the siblings that tests may import from within their
// package, with the reason.
var testSiblings = map[string]map[string]string{
	"kernel/native": {"kernel/kerneltest": "every back end passes the suite, also with what only it can see"},
}

// allowed says which module of others may be imported by which packages, with
// the reason. A dependency enters on the floor that needs it and nowhere below.
var allowed = []dependency{
	{"golang.org/x/sys", "kernel/native kernel/kerneltest", "the system calls that package syscall lacks"},
	{"github.com/alecthomas/kong", "cmd/whorl", "flags, commands and their help"},
}

// allowedInTests is what any test may import besides.
var allowedInTests = []dependency{
	{"golang.org/x/sys", "", "tests of descriptors and socket options"},
	{"golang.org/x/net/nettest", "", "the suite of net.Conn"},
	{"github.com/rogpeppe/go-internal/testscript", "", "scripts for the command line"},
	{"pgregory.net/rapid", "", "properties"},
}

// dependency is a module, or a package of one; who may import it; and why.
type dependency struct {
	path, packages, because string
}

// bans are what code may not say, tests aside.
var bans = []ban{
	{
		what: "time.Now time.Since time.Until",
		except: exceptions{
			"kernel/native": "asks the system",
			"sim/test.go":   "tells how many seeds a second were run; no run sees it",
		},
		because: "one clock: Reactor.Now",
	},
	{
		what:    "time.Sleep",
		except:  exceptions{"testworld": "a simulated world gives goroutines outside of it a moment of real time"},
		because: "nothing waits on the loop",
	},
	{
		what:    "time.After time.AfterFunc time.NewTimer time.NewTicker time.Tick",
		except:  exceptions{"kernel/kerneltest": "a watchdog names the subtest in which a kernel hangs"},
		because: "one queue of timers, and it follows the kernel's clock: Reactor.CallLater",
	},
	{
		what: "go",
		except: exceptions{
			"reactor/workers.go": "joins the pool at shutdown while the loop still answers its workers",
			"pool":               "its workers are what blocking work runs on",
			"kernel/native":      "signals arrive on a goroutine of their own",
			"testworld":          "real worlds run beside the test",
			"cmd/whorl":          "a program may read a terminal while its loop runs",
			"sim/fleet":          "processes say what became of their seeds while the loop runs, and a worker ends when its parent does, even during a run",
			"sim/test.go":        "runs of different seeds share nothing, so that several go at a time",
		},
		because: "one goroutine owns the loop's world; work for others goes through the pool",
	},
	{
		what: "import:math/rand import:math/rand/v2",
		except: exceptions{
			"cmd/whorl":          "somebody has to draw the first seed",
			"examples/reconnect": "a program draws its own seed",
			"examples/lease":     "a program draws its own seed",
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
		because: "its clock is not the loop's, and a simulated run would depend on the real one",
	},
	{
		what:  "os.Getenv os.LookupEnv",
		below: programs,
		except: exceptions{
			"kernel/native":           "may look at GODEBUG, as the standard library does",
			"sim/simmain/terminal.go": "TERM says whether a terminal can go back to the beginning of a line; only the progress bar asks",
			"sim/environ.go":          "WHORL_SEED, WHORL_SEEDS and WHORL_FAULTS say which runs a test makes; no run depends on them otherwise",
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

// ban is one entry of bans. What is a list of names: a package's name and what
// it exports; go; import: and a path; func:init; range:map; builtin: and its
// name.
type ban struct {
	what    string
	in      string     // the packages it holds in; empty: all of them
	below   int        // the floor it holds below; 0: on all of them
	except  exceptions // where it does not hold
	because string
}

// exceptions are packages, or files, with the reason.
type exceptions map[string]string

// makers are the functions whose results a package-level variable may hold:
// errors, and values that nothing can change.
var makers = []string{
	"errors.New", "fmt.Errorf", "Sentinel", "kernel.Sentinel",
	"regexp.MustCompile",
	"netip.MustParseAddr", "netip.MustParsePrefix", "netip.MustParseAddrPort",
}

// How long things may be, in lines: up to and including these.
const (
	fileLines     = 600
	funcLines     = 69
	testFuncLines = 119
)

// emptyNames say nothing about what a package is for.
var emptyNames = []string{"util", "utils", "common", "base", "core", "helper", "helpers", "types", "pkg"}

// wrapped are the interfaces whose optional capabilities are found by walking
// wrappers: a type that is one and holds one must have Unwrap.
var wrapped = []string{"reactor.Transport", "reactor.Protocol", "reactor.Factory", "kernel.Kernel", "kernel.Conn", "kernel.Listener"}

// capabilities are the interfaces that only some kernels, conns, transports, protocols and
// factories have. They are looked for through wrappers: kernel.As, kernel.ConnAs, reactor.As,
// reactor.ProtocolAs, reactor.FactoryAs.
var capabilities = []string{
	"kernel.Vectors", "kernel.TCPConn", "kernel.Watcher", "kernel.Reserver", "kernel.Signals", "kernel.Worker", "kernel.Named",
	"kernel/probe.Observer", "kernel/probe.Forcer",
	"reactor.HalfCloser", "reactor.Producer", "reactor.Consumer", "reactor.Vectored", "reactor.Switcher",
	"reactor.HalfCloseListener", "reactor.Layer", "reactor.LogPrefixer", "reactor.StartStopper", "reactor.ConnectorListener",
}

// assertingFiles may assert capabilities plainly, with the reason.
var assertingFiles = map[string]string{
	"reactor/factory.go": "a use of each factory in a chain of wrappers is counted, so each is asked for itself",
}

// notWrappers are types that are one and hold one without wrapping it, with the
// reason.
var notWrappers = map[string]string{
	"reactor.Base": "holds the transport for the protocol that embeds it",
}

// systems are what the source is checked for. Each file must be built by one of
// them at least, or the rules would not see it.
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
