// Command fulcio is the certificate authority of Sigstore, of the packages of
// its release: with a key in a file, over HTTP, and without the listener for
// metrics that the released program opens on every address of the machine.
//
// Once it is ready, it prints the address that it listens on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	ctclient "github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/jsonclient"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/sigstore/fulcio/pkg/ca/fileca"
	"github.com/sigstore/fulcio/pkg/config"
	"github.com/sigstore/fulcio/pkg/generated/protobuf"
	"github.com/sigstore/fulcio/pkg/generated/protobuf/legacy"
	"github.com/sigstore/fulcio/pkg/log"
	"github.com/sigstore/fulcio/pkg/server"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// timeout bounds a request, and one to the certificate transparency log.
const timeout = 30 * time.Second

// options are files in PEM, addresses, and Fulcio's own configuration.
type options struct {
	listen, configuration, chain, key, ctLog, ctLogKey string
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "address to serve on")
	flag.StringVar(&o.configuration, "config", "", "issuers of tokens, and how certificates follow from their claims, as Fulcio reads it")
	flag.StringVar(&o.chain, "chain", "", "certificates of the authority, the issuing one first")
	flag.StringVar(&o.key, "key", "", "private key of the issuing certificate")
	flag.StringVar(&o.ctLog, "ct-log", "", "URL of the certificate transparency log")
	flag.StringVar(&o.ctLogKey, "ct-log-key", "", "public key of that log")
	flag.Parse()
	if err := serve(o); err != nil {
		fmt.Fprintln(os.Stderr, "fulcio:", err)
		os.Exit(1)
	}
}

func serve(o options) error {
	log.ConfigureLogger("dev")
	handler, err := newHandler(context.Background(), o)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return (&http.Server{Handler: handler, ReadHeaderTimeout: timeout}).Serve(listener)
}

// newHandler serves both interfaces of Fulcio: the second, and the first one,
// which answers with PEM.
func newHandler(ctx context.Context, o options) (http.Handler, error) {
	configuration, err := config.Load(o.configuration)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	service, err := newService(o, configuration)
	if err != nil {
		return nil, err
	}
	mux := runtime.NewServeMux(runtime.WithMetadata(bearerToken), runtime.WithForwardResponseOption(writeHeaders))
	if err := errors.Join(
		protobuf.RegisterCAHandlerServer(ctx, mux, service),
		legacy.RegisterCAHandlerServer(ctx, mux, server.NewLegacyGRPCCAServer(service)),
	); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Fulcio looks for its configuration in the context of each request.
		mux.ServeHTTP(w, r.WithContext(config.With(r.Context(), configuration)))
	}), nil
}

func newService(o options, configuration *config.FulcioConfig) (protobuf.CAServer, error) {
	authority, err := fileca.NewFileCA(o.chain, o.key, "", false)
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	logKey, err := os.ReadFile(o.ctLogKey)
	if err != nil {
		return nil, fmt.Errorf("reading the log's key: %w", err)
	}
	ctLog, err := ctclient.New(o.ctLog, &http.Client{Timeout: timeout}, jsonclient.Options{PublicKey: string(logKey)})
	if err != nil {
		return nil, fmt.Errorf("reaching the log: %w", err)
	}
	// What the released program takes unless it is told otherwise.
	algorithms, err := signature.NewAlgorithmRegistryConfig([]common.PublicKeyDetails{
		common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		common.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
		common.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512,
		common.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256,
		common.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256,
		common.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256,
		common.PublicKeyDetails_PKIX_ED25519,
	})
	if err != nil {
		return nil, err
	}
	return server.NewGRPCCAServer(ctLog, authority, algorithms, server.NewIssuerPool(configuration)), nil
}

// bearerToken hands on the token that the first interface has in a header.
func bearerToken(_ context.Context, r *http.Request) metadata.MD {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	return metadata.Pairs(server.MetadataOIDCTokenKey, token)
}

// writeHeaders gives an answer the status code that the service asks for, and
// none of the headers that are meant for gRPC.
func writeHeaders(ctx context.Context, w http.ResponseWriter, _ proto.Message) error {
	answer, ok := runtime.ServerMetadataFromContext(ctx)
	if !ok {
		return nil
	}
	for name := range w.Header() {
		if strings.HasPrefix(name, runtime.MetadataHeaderPrefix) {
			w.Header().Del(name)
		}
	}
	if timestamps := answer.HeaderMD.Get(server.SCTMetadataKey); len(timestamps) > 0 {
		w.Header().Set("SCT", timestamps[0])
	}
	if codes := answer.HeaderMD.Get(server.HTTPResponseCodeMetadataKey); len(codes) > 0 {
		code, err := strconv.Atoi(codes[0])
		if err != nil {
			return err
		}
		w.WriteHeader(code)
	}
	return nil
}
