package main

import (
	"testing"

	"github.com/whorl-go/whorl/sim"
)

func TestGreetings(t *testing.T) { sim.Test(t, greetings, 5) }

func TestCut(t *testing.T) {
	t.Run("it's one", func(t *testing.T) { sim.Test(t, cut(), 50) })
}
