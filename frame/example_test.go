package frame_test

import (
	"fmt"

	"github.com/whorl-go/whorl/frame"
)

func ExampleLines() {
	var d frame.Lines
	for _, chunk := range []string{"HELO exam", "ple\r\nQUIT\r", "\n"} {
		d.Feed([]byte(chunk))
		for {
			line, ok, err := d.Next()
			if err != nil {
				fmt.Println(err)
				return
			}
			if !ok {
				break
			}
			fmt.Printf("%s\n", line)
		}
	}
	// Output:
	// HELO example
	// QUIT
}

func ExampleAll() {
	var d frame.Netstrings
	for s, err := range frame.All(&d, []byte("5:hello,5:world,03:")) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("%s\n", s)
	}
	// Output:
	// hello
	// world
	// byte 17 is '3', expected ':'
}

func ExampleAppendPrefixed() {
	b, _ := frame.AppendPrefixed(nil, frame.Width16, []byte("hi"))
	fmt.Printf("%q\n", b)
	_, err := frame.AppendPrefixed(nil, frame.Width8, make([]byte, 300))
	fmt.Println(err)
	// Output:
	// "\x00\x02hi"
	// frame too long: 300 bytes, limit is 255
}
