package sigstored

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/assay-dev/assay/test/sigstore"
	"github.com/assay-dev/assay/test/sigstore/server"
)

// startTimeout bounds the start of each server: shared machines are slow at
// times.
const startTimeout = time.Minute

// Stack is a Sigstore that is being served. It is safe for concurrent use.
type Stack struct {
	// Sigstore has the keys, and the trusted root with every part.
	Sigstore *sigstore.Sigstore

	// The URLs of the servers. TSA is where timestamps are asked for.
	Fulcio, CTLog, Rekor1, Rekor2, TSA string

	// TrustedRoot is the file of the trusted root.
	TrustedRoot string

	// Assets is the folder of the programs.
	Assets string

	dir       string
	issuers   *issuers
	processes []*process
	servers   []*http.Server
}

// Start builds the programs if need be, telling progress about it, starts the
// servers, and returns once they answer. The error is an *UnavailableError where
// the programs cannot be built. The caller closes the stack.
func Start(ctx context.Context, progress io.Writer) (s *Stack, err error) {
	assets, err := Assets(progress)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "assay-sigstore-")
	if err != nil {
		return nil, err
	}
	s = &Stack{Assets: assets, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("starting a Sigstore: %w", err), s.Close())
			s = nil
		}
	}()
	if s.Sigstore, err = sigstore.New(); err != nil {
		return s, err
	}
	keys, err := s.Sigstore.Keys()
	if err != nil {
		return s, err
	}
	for _, step := range []func() error{
		func() error { return s.writeFiles(keys) },
		s.serveIssuers,
		s.serveCTLog,
		func() (err error) { s.Rekor1, err = s.serve(server.NewRekor1(s.Sigstore)); return err },
		func() error { return s.startServers(ctx) },
	} {
		if err := step(); err != nil {
			return s, err
		}
	}
	return s, nil
}

// The files of a stack, by their names in its folder.
const (
	fileCAKey       = "fulcio.key"
	fileCAChain     = "fulcio.pem"
	fileTSAKey      = "tsa.key"
	fileTSAChain    = "tsa.pem"
	fileRekor2Key   = "rekor2.key"
	fileCTLogPublic = "ctlog.pub"
	fileRekor1      = "rekor1.pub"
	fileTrustedRoot = "trusted_root.json"
)

func (s *Stack) writeFiles(keys sigstore.Keys) error {
	s.TrustedRoot = s.file(fileTrustedRoot)
	for name, content := range map[string][]byte{
		fileCAKey: keys.CA, fileCAChain: keys.CAChain, fileTSAKey: keys.TSA, fileTSAChain: keys.TSAChain,
		fileRekor2Key: keys.Rekor2, fileCTLogPublic: keys.CTLogPublic, fileRekor1: keys.Rekor1Public,
		fileTrustedRoot: s.Sigstore.TrustedRoot(),
	} {
		if err := os.WriteFile(s.file(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// file is the path of a file of the stack.
func (s *Stack) file(name string) string { return filepath.Join(s.dir, name) }

// serve serves a handler on a free port, and returns the URL.
func (s *Stack) serve(handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	local := &http.Server{Handler: handler, ReadHeaderTimeout: startTimeout}
	s.servers = append(s.servers, local)
	go func() { _ = local.Serve(listener) }() // Always fails in the end: with ErrServerClosed.
	return "http://" + listener.Addr().String(), nil
}

// startServers starts the programs, all at the same time.
func (s *Stack) startServers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := os.WriteFile(s.file("fulcio.json"), s.issuers.fulcioConfiguration(), 0o600); err != nil {
		return err
	}
	fulcio, err := s.start("fulcio", "-config", s.file("fulcio.json"), "-chain", s.file(fileCAChain), "-key", s.file(fileCAKey),
		"-ct-log", s.CTLog, "-ct-log-key", s.file(fileCTLogPublic))
	if err != nil {
		return err
	}
	tsa, err := s.start("timestamp-server", "-chain", s.file(fileTSAChain), "-key", s.file(fileTSAKey))
	if err != nil {
		return err
	}
	if s.Rekor2, err = s.startRekor2(ctx); err != nil {
		return err
	}
	if s.Fulcio, err = fulcio.url(ctx); err != nil {
		return err
	}
	if s.TSA, err = tsa.url(ctx); err != nil {
		return err
	}
	s.TSA += "/api/v1/timestamp"
	return nil
}

// startRekor2 starts Rekor v2, which has to be told its ports. They are free when
// they are chosen, and may be taken before it listens.
func (s *Stack) startRekor2(ctx context.Context) (string, error) {
	var errs []error
	for range 3 {
		var hosts [3]string
		for i := range hosts {
			host, err := freeHost()
			if err != nil {
				return "", err
			}
			hosts[i] = host
		}
		url := "http://" + hosts[0]
		rekor, err := s.start("rekor-tiles", "serve", "--hostname", sigstore.Rekor2Origin,
			"--storage-dir", s.file("rekor2"), "--signer-filepath", s.file(fileRekor2Key), "--persistent-antispam",
			"--batch-max-age", "100ms", "--checkpoint-interval", "1s", // The shortest that it takes: who logs waits for it.
			"--http-address", "127.0.0.1", "--http-port", port(hosts[0]),
			"--grpc-address", "127.0.0.1", "--grpc-port", port(hosts[1]), "--http-metrics-port", port(hosts[2]))
		if err != nil {
			return "", err
		}
		if err = rekor.answers(ctx, url+"/healthz"); err == nil {
			return url, nil
		}
		rekor.stop()
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return "", errors.Join(errs...)
}

// Close ends the servers, and removes their files.
func (s *Stack) Close() error {
	var errs []error
	for _, p := range slices.Backward(s.processes) {
		p.stop()
	}
	for _, local := range s.servers {
		errs = append(errs, local.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// Logs are what the programs said last, for a test that failed.
func (s *Stack) Logs() string {
	var all []byte
	for _, p := range s.processes {
		all = append(all, p.log()...)
	}
	return string(all)
}

// freeHost is a free port of 127.0.0.1.
func freeHost() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// port is the port of freeHost's answer.
func port(host string) string {
	_, port, _ := net.SplitHostPort(host)
	return port
}
