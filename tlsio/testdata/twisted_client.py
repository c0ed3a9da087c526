# A client of Twisted at the endpoint given: it sends a file, compares what comes back
# with it, closes, and tells how that ended.
import sys
from twisted.internet import endpoints, protocol, reactor

want = open(sys.argv[2], "rb").read()


class Compare(protocol.Protocol):
    got = b""

    def connectionMade(self):
        self.transport.write(want)

    def dataReceived(self, data):
        self.got += data
        if len(self.got) >= len(want):
            self.transport.loseConnection()

    def connectionLost(self, reason):
        print("same" if self.got == want else "different", reason.type.__name__, reason.getErrorMessage(), flush=True)
        reactor.stop()


def failed(why):
    print(why, flush=True)
    reactor.stop()


where = endpoints.clientFromString(reactor, sys.argv[1])
endpoints.connectProtocol(where, Compare()).addErrback(failed)
reactor.run()
