# An echo server of Twisted at the endpoint given. It prints its port, and how each
# connection ended.
import sys
from twisted.internet import endpoints, protocol, reactor


class Echo(protocol.Protocol):
    def dataReceived(self, data):
        self.transport.write(data)

    def connectionLost(self, reason):
        print("lost", reason.type.__name__, flush=True)


def listening(port):
    print("port", port.getHost().port, "end", flush=True)


def failed(why):
    print(why, flush=True)
    reactor.stop()


where = endpoints.serverFromString(reactor, sys.argv[1])
where.listen(protocol.Factory.forProtocol(Echo)).addCallbacks(listening, failed)
reactor.run()
