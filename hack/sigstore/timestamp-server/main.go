// Command timestamp-server is the timestamp authority of Sigstore, of the
// packages of its release: with a key in a file, over HTTP, and without the
// listener for metrics that the released program opens on every address of the
// machine, at a port that cannot be changed.
//
// Once it is ready, it prints the address that it listens on.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/log"
	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/sigstore/timestamp-authority/v2/pkg/signer"
	"github.com/spf13/viper"
)

// timeout bounds a request.
const timeout = 30 * time.Second

// policy is the policy of Sigstore's timestamps.
const policy = "1.3.6.1.4.1.57264.2"

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	chain := flag.String("chain", "", "certificates of the authority in PEM, its own first")
	key := flag.String("key", "", "private key of the first certificate, in PEM")
	flag.Parse()
	if err := serve(*listen, *chain, *key); err != nil {
		fmt.Fprintln(os.Stderr, "timestamp-server:", err)
		os.Exit(1)
	}
}

func serve(listen, chain, key string) error {
	log.ConfigureLogger("dev")
	// The packages take their settings from here and from nowhere else.
	for name, value := range map[string]any{
		"timestamp-signer":         signer.FileScheme,
		"timestamp-signer-hash":    "sha256",
		"file-signer-key-path":     key,
		"certificate-chain-path":   chain,
		"enforce-intermediate-eku": true,
		"default-policy-oid":       policy,
		"accepted-policy-oids":     []string{policy},
		"max-request-body-size":    1 << 20,
	} {
		viper.Set(name, value)
	}
	handler := server.NewRestAPIServer("", 0, []string{"http"}, false, timeout, timeout).GetHandler()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return (&http.Server{Handler: handler, ReadHeaderTimeout: timeout}).Serve(listener)
}
