package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/signing"
	"github.com/assay-dev/assay/internal/verify"
)

// signCommand is what sign is told.
type signCommand struct {
	target *targetFlags
	remote *registryFlags
	signer *signingFlags
	output *outputFlag
}

func newSignCommand(t *terminal) *cobra.Command {
	s := &signCommand{}
	c := &cobra.Command{
		Use:   "sign oci://REPOSITORY[:TAG|@DIGEST]",
		Short: "Sign what is pushed already",
		Long: `sign resolves a version or tag once, and signs the digest that it names then: with
a private key, or keyless, with a certificate for the identity token of the CI
provider. The signature is attached as the last step, once all that belongs to it
is there and was checked.

It says on standard error what is recorded for good, and asks on a terminal;
elsewhere --yes must be said.`,
		Example: `  assay sign oci://ghcr.io/my-org/modules/app --version 1.0.0 --cosign-key cosign.key
  assay sign oci://ghcr.io/my-org/modules/app@sha256:… --yes`,
		Args: arguments("oci://REPOSITORY"),
		RunE: func(c *cobra.Command, args []string) error {
			return s.run(c.Context(), t, args[0])
		},
	}
	s.target = addTargetFlags(c.Flags())
	s.remote = addRegistryFlags(c.Flags())
	s.signer = addSigningFlags(c.Flags())
	s.output = addOutputFlag(c.Flags(), "json", "yaml")
	return c
}

func (s *signCommand) run(ctx context.Context, t *terminal, url string) error {
	if err := s.output.check(); err != nil {
		return err
	}
	ctx, cancel, err := s.remote.deadline(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	wanted, err := s.target.parse(s.remote, url)
	if err != nil {
		return err
	}
	if err := s.signer.check(ctx, t); err != nil {
		return err
	}
	digest, err := wanted.resolve(ctx, t, s.remote)
	if err != nil {
		return err
	}
	result, err := s.signer.sign(ctx, t, s.remote, wanted.repository, digest)
	if err != nil {
		return err
	}
	return t.print(s.output, result, func() error { return t.printSigned(result) })
}

// resolve asks the registry, once, which digest is meant, and holds it against
// the pin.
func (g target) resolve(ctx context.Context, t *terminal, remote *registryFlags) (string, error) {
	auth, err := remote.authConfig(ctx, g.repository)
	if err != nil {
		return "", err
	}
	pool := newPool(t)
	defer pool.Close()
	client := pool.Client(g.repository, registry.NewCredentials(auth))
	defer client.Close()
	revision, err := client.Resolve(ctx, g.selector)
	if err != nil {
		return "", registryProblem(ctx, err)
	}
	if pin := g.selector.Pin(); pin != "" && pin != revision.Digest {
		return "", refused(fmt.Errorf("DigestMismatch: %s: expected the digest %s, found %s", revision.Version, pin, revision.Digest))
	}
	return revision.Digest, nil
}

// printSigned tells a person what was signed, by whom, and who knows.
func (t *terminal) printSigned(r signing.Result) error {
	rows := [][2]string{{"Format", map[verify.Format]string{
		verify.FormatCosign: "Cosign v2 (signature-format cosign)", verify.FormatBundle: "Sigstore bundle (signature-format bundle)",
	}[r.Format]}}
	if r.KeyFingerprint != "" {
		rows = append(rows, [2]string{"Key", r.KeyFingerprint})
	} else {
		rows = append(rows, [2]string{"Signer", clean(r.Subject)}, [2]string{"Issuer", clean(r.Issuer)})
	}
	for _, l := range r.Logs {
		text := fmt.Sprintf("%s, index %d", l.URL, l.Index)
		if l.IntegratedTime != nil {
			text += ", " + l.IntegratedTime.Format(time.RFC3339)
		}
		rows = append(rows, [2]string{"Log", text})
	}
	for _, at := range r.Timestamps {
		rows = append(rows, [2]string{"Timestamp", at.Format(time.RFC3339)})
	}
	if r.Verified {
		rows = append(rows, [2]string{"Verified", "by the trusted root, before it was attached"})
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s oci://%s@%s\n", t.paint(good, "Signed"), r.Repository, r.Digest)
	for _, row := range rows {
		fmt.Fprintf(&text, "  %-10s %s\n", row[0]+":", row[1])
	}
	_, err := fmt.Fprint(t.out, text.String())
	return err
}
