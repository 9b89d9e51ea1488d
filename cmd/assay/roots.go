package main

import (
	"context"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"

	"github.com/assay-dev/assay/internal/trust"
	"github.com/assay-dev/assay/internal/verify"
)

// rootFlags say where the trusted root comes from, by the names that the
// controller has for the same.
type rootFlags struct {
	file, mirror, tufRoot string
	fetched               *verify.TrustedRoot
}

func addRootFlags(s *pflag.FlagSet) *rootFlags {
	f := &rootFlags{}
	s.StringVar(&f.file, "trusted-root", "", "file with the Sigstore trusted_root.json to verify by; default: that of Sigstore's public instance, over TUF")
	s.StringVar(&f.mirror, "tuf-mirror", "", "URL of a TUF repository to take it from instead, together with --tuf-root")
	s.StringVar(&f.tufRoot, "tuf-root", "", "file with the first root.json of --tuf-mirror, which it is trusted by")
	return f
}

// root is the trusted root. It is read or fetched once, when it is needed.
func (f *rootFlags) root(ctx context.Context) (*verify.TrustedRoot, error) {
	if f.fetched != nil {
		return f.fetched, nil
	}
	source, err := f.source()
	if err != nil {
		return nil, err
	}
	root, err := source.Fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("TrustUnavailable: %w", err)
	}
	f.fetched = root
	return root, nil
}

func (f *rootFlags) source() (*trust.Source, error) {
	o := trust.Options{File: f.file, Mirror: f.mirror, UserAgent: userAgent(), Log: logr.Discard()}
	if f.tufRoot != "" {
		raw, err := os.ReadFile(f.tufRoot)
		if err != nil {
			return nil, usageError("", "--tuf-root: %v", err)
		}
		o.TUFRoot = raw
	}
	source, err := trust.New(o)
	if err != nil {
		return nil, usageError("", "%v", err)
	}
	return source, nil
}
