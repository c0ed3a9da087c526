package leaktest_test

import (
	"os"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
)

// tests are the tests of a package.
type tests func() int

func (run tests) Run() int { return run() }

// a file that nobody holds is no leak. Another goroutine closes it, some time after the garbage collector has found it.
func TestForgottenFiles(t *testing.T) {
	if leaktest.Descriptors() == 0 {
		t.Skip("this system does not tell how many descriptors there are")
	}
	for range 20 {
		code := leaktest.Main(tests(func() int {
			for range 100 {
				if _, err := os.Open(os.DevNull); err != nil {
					t.Fatal(err)
				}
			}
			return 0
		}))
		if code != 0 {
			t.Fatalf("X-5: the status is %d", code)
		}
	}
}
