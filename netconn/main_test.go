package netconn_test

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
)

func TestMain(m *testing.M) {
	// Many tests mostly wait, so more of them run at a time than there are cores. -parallel says otherwise.
	if err := flag.Set("test.parallel", strconv.Itoa(max(8, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	os.Exit(leaktest.Main(m))
}
