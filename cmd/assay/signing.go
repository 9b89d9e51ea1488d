package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/signing"
	"github.com/assay-dev/assay/internal/verify"
)

// signingFlags say who signs and who witnesses it.
type signingFlags struct {
	key, identityToken  string
	format              string
	fulcioURL, rekorURL string
	timestampServerURLs []string
	signingConfig       string
	trustedRoot         string
	tlogUpload, yes     bool

	set *pflag.FlagSet
	// checked is what check found; nil before.
	checked *signing.Options
}

func addSigningFlags(s *pflag.FlagSet) *signingFlags {
	f := &signingFlags{set: s}
	s.StringVar(&f.key, "cosign-key", "", "private key to sign with: a file that Cosign encrypted ($COSIGN_PASSWORD, or asked for), env://NAME, a key management service (awskms://, azurekms://, gcpkms://, hashivault://), k8s://namespace/name or gitlab://project; default: keyless, by the identity token of the CI provider")
	s.StringVar(&f.identityToken, "identity-token", "", "identity token (OpenID Connect, audience sigstore) for keyless signing, or a file with it; default: that of GitHub Actions, $SIGSTORE_ID_TOKEN of GitLab CI, or another provider that Cosign knows")
	s.StringVar(&f.format, "signature-format", string(verify.FormatCosign), "format of the signature: cosign, which Cosign, Flux and Kyverno read without further flags, or bundle, the default of Cosign v3, which only newer ones read")
	offer(s, "signature-format", string(verify.FormatCosign), string(verify.FormatBundle))
	s.StringVar(&f.fulcioURL, "fulcio-url", signing.PublicFulcio, "certificate authority for keyless signing")
	s.StringVar(&f.rekorURL, "rekor-url", signing.PublicRekor, "transparency log, of Rekor v1; --signing-config names others")
	s.StringArrayVar(&f.timestampServerURLs, "timestamp-server-url", nil, "RFC 3161 timestamp authority, with its path; may be repeated for bundles; default: none")
	s.StringVar(&f.signingConfig, "signing-config", "", "file that names all services, as cosign signing-config create writes it, in place of the three URLs")
	s.BoolVar(&f.tlogUpload, "tlog-upload", true, "record the signature in a transparency log")
	s.StringVar(&f.trustedRoot, "trusted-root", "", "trusted_root.json that the signature is verified by before it is attached; default: only that all answers belong to the signature is verified")
	s.BoolVarP(&f.yes, "yes", "y", false, "answer yes to what is asked before something is recorded for good")
	return f
}

// check finds everything that is wrong before anything is done, and asks what is
// to be asked. Whoever pushes first calls it before; sign calls it otherwise.
func (f *signingFlags) check(ctx context.Context, t *terminal) error {
	if err := f.checkFlags(); err != nil {
		return err
	}
	o := signing.Options{Format: verify.Format(f.format), UserAgent: userAgent(), Now: t.now}
	var err error
	if o.Services, err = f.services(t); err != nil {
		return err
	}
	if o.Root, err = f.root(); err != nil {
		return err
	}
	if f.key != "" {
		if o.Key, err = f.loadKey(ctx, t); err != nil {
			return err
		}
	} else {
		o.Token = func(ctx context.Context) (string, error) { return f.token(ctx, t) }
	}
	if err := o.Check(); err != nil {
		return f.explain(err)
	}
	if o.Token != nil {
		// It is thrown away: tokens live for minutes, and a push may take longer.
		if _, err := o.Token(ctx); err != nil {
			return err
		}
	}
	if err := f.consent(ctx, t, o.Services); err != nil {
		return err
	}
	f.checked = &o
	return nil
}

// sign signs a digest and attaches the signature: the digest that was pushed,
// never a tag.
func (f *signingFlags) sign(ctx context.Context, t *terminal, r *registryFlags, repo registry.Repository, digest string) (signing.Result, error) {
	if f.checked == nil {
		if err := f.check(ctx, t); err != nil {
			return signing.Result{}, err
		}
	}
	repository, err := r.repository(repo)
	if err != nil {
		return signing.Result{}, err
	}
	writer, err := r.writer(ctx, repo)
	if err != nil {
		return signing.Result{}, err
	}
	target := repository.Digest(digest)
	if err := signing.Exists(ctx, target, writer...); err != nil {
		return signing.Result{}, registryFailed(ctx, "reading what is to be signed, "+target.Name(), err)
	}
	signed, err := signing.Sign(ctx, *f.checked, target)
	if refusal := (*verify.Refusal)(nil); errors.As(err, &refusal) {
		return signing.Result{}, refused(err)
	}
	if err != nil {
		return signing.Result{}, err
	}
	return signed.Result(), registryFailed(ctx, "attaching the signature to "+target.Name(), signed.Attach(ctx, writer...))
}

// checkFlags refuses flags that exclude each other.
func (f *signingFlags) checkFlags() error {
	if formats := []string{string(verify.FormatCosign), string(verify.FormatBundle)}; !slices.Contains(formats, f.format) {
		return usageError("", "--signature-format: expected %s, found %.100q", strings.Join(formats, " or "), f.format)
	}
	for _, pair := range []struct {
		one, other string
		both       bool
	}{
		{"cosign-key", "identity-token", f.key != "" && f.identityToken != ""},
		{"cosign-key", "fulcio-url", f.key != "" && f.set.Changed("fulcio-url")},
		{"signing-config", "fulcio-url", f.signingConfig != "" && f.set.Changed("fulcio-url")},
		{"signing-config", "rekor-url", f.signingConfig != "" && f.set.Changed("rekor-url")},
		{"signing-config", "timestamp-server-url", f.signingConfig != "" && len(f.timestampServerURLs) > 0},
		{"tlog-upload=false", "rekor-url", !f.tlogUpload && f.set.Changed("rekor-url")},
	} {
		if pair.both {
			return usageError("", "expected --%s or --%s, found both", pair.one, pair.other)
		}
	}
	for flag, urls := range map[string][]string{
		"fulcio-url": {f.fulcioURL}, "rekor-url": {f.rekorURL}, "timestamp-server-url": f.timestampServerURLs,
	} {
		for _, url := range urls {
			if err := signing.CheckURL(url); err != nil {
				return usageError("", "--%s: %v", flag, err)
			}
		}
	}
	return nil
}

// services are those that the flags name.
func (f *signingFlags) services(t *terminal) (signing.Services, error) {
	if f.signingConfig != "" {
		config, err := os.ReadFile(f.signingConfig)
		if err != nil {
			return signing.Services{}, usageError("", "--signing-config: %v", err)
		}
		s, err := signing.ServicesOf(config, verify.Format(f.format), f.key == "", f.tlogUpload, t.now())
		if err != nil {
			return signing.Services{}, f.explain(fmt.Errorf("--signing-config: %s: %w", f.signingConfig, err))
		}
		return s, nil
	}
	s := signing.Services{TimestampAuthorities: f.timestampServerURLs}
	if f.key == "" {
		s.Fulcio = f.fulcioURL
	}
	if f.tlogUpload {
		s.Logs = []signing.Log{{URL: f.rekorURL, Version: 1}}
	}
	return s, nil
}

// root is what the signature is verified by; nil for none.
func (f *signingFlags) root() (*verify.TrustedRoot, error) {
	if f.trustedRoot == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.trustedRoot)
	if err != nil {
		return nil, usageError("", "--trusted-root: %v", err)
	}
	root, err := verify.ParseTrustedRoot(text)
	if err != nil {
		return nil, usageError("", "--trusted-root: %s: %v", f.trustedRoot, err)
	}
	return root, nil
}

// explain says of what cannot work which flag is to be another.
func (f *signingFlags) explain(err error) error {
	for _, known := range []struct {
		err           error
		flag, instead string
	}{
		{signing.ErrRekor2, "--signature-format", "--signature-format bundle"},
		{signing.ErrHash, "--cosign-key", "--tlog-upload=false, a key of P-256 (assay keys generate), or --signature-format bundle with a --signing-config that names a log of Rekor v2"},
		{signing.ErrUnwitnessed, "--timestamp-server-url", "--timestamp-server-url https://timestamp.sigstore.dev/api/v1/timestamp"},
		{signing.ErrWitnesses, "--timestamp-server-url", "--signature-format bundle"},
	} {
		if errors.Is(err, known.err) {
			return usageError(known.instead, "%s: %v", known.flag, known.err)
		}
	}
	return usageError("", "%v", err)
}
