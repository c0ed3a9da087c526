package native_test

import (
	"fmt"
	"log"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
)

func ExampleOptions_clock() {
	k, err := native.OpenWith("", native.Options{Clock: native.ClockBoottime})
	if err != nil {
		log.Fatal(err)
	}
	defer k.Close()
	fmt.Println(kernel.NameOf(k))
	// Output: epoll
}
