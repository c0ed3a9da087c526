module github.com/whorl-go/whorl/bench

go 1.26.0

replace github.com/whorl-go/whorl => ../

require (
	github.com/cloudwego/netpoll v0.7.2
	github.com/whorl-go/whorl v0.0.0-00010101000000-000000000000
	golang.org/x/sys v0.49.0
)

require (
	github.com/bytedance/gopkg v0.1.1 // indirect
	github.com/cloudwego/gopkg v0.1.4 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
