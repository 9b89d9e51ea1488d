package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-dev/assay/internal/inspect"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/verify"
)

func newInspectCommand(t *terminal) *cobra.Command {
	var (
		remote      *registryFlags
		wanted      *targetFlags
		roots       *rootFlags
		output      *outputFlag
		printVerify bool
	)
	c := &cobra.Command{
		Use:   "inspect oci://REPOSITORY",
		Short: "Show every signature and attestation of a module, and the verify block that would accept it",
		Long: `inspect lists the signatures and attestations of a digest, in both of Cosign's
formats, with what they say of themselves: identities, log entries, dates.

That is no verdict. Whoever may push to a repository can put a signature of their
own there: compare a signer with what the author of the module publishes, before
you trust it. "checked" says whether a signature is what it claims to be, by the
trusted root; it does not say whether the signer is the right one.`,
		Example: `  assay inspect oci://ghcr.io/stefanprodan/modules/podinfo --version 6.x
  assay inspect oci://ghcr.io/stefanprodan/modules/podinfo --print-verify`,
		Args: arguments("oci://REPOSITORY"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.check(); err != nil {
				return err
			}
			if printVerify && output.format != "" {
				return usageError("", "expected --print-verify or --output, found both: what --print-verify prints is YAML")
			}
			g, err := wanted.parse(remote, args[0])
			if err != nil {
				return err
			}
			ctx, cancel, err := remote.deadline(c.Context())
			if err != nil {
				return err
			}
			defer cancel()
			r, err := inspectOne(ctx, t, remote, roots, g)
			if err != nil {
				return err
			}
			if printVerify {
				return r.printVerify(t)
			}
			return t.print(output, r.document(), func() error { return r.print(t) })
		},
	}
	wanted = addTargetFlags(c.Flags())
	roots = addRootFlags(c.Flags())
	remote = addRegistryFlags(c.Flags())
	output = addOutputFlag(c.Flags(), "json", "yaml")
	c.Flags().BoolVar(&printVerify, "print-verify", false, "print the verify block of a ModuleSource that would accept the signature, one for each signer: a suggestion to check, not a verdict")
	return c
}

// inspected is what is attached to a digest.
type inspected struct {
	repository registry.Repository
	revision   registry.Revision
	found      []inspect.Found
	// suggestions are those of the signatures in found; nil for attestations.
	suggestions []*inspect.Suggestion
	problems    []error
}

func inspectOne(ctx context.Context, t *terminal, remote *registryFlags, roots *rootFlags, g target) (*inspected, error) {
	auth, err := remote.authConfig(ctx, g.repository)
	if err != nil {
		return nil, err
	}
	pool := newPool(t)
	defer pool.Close()
	client := pool.Client(g.repository, registry.NewCredentials(auth))
	defer client.Close()
	r := &inspected{repository: g.repository}
	if r.revision, err = client.Resolve(ctx, g.selector); err != nil {
		return nil, registryProblem(ctx, err)
	}
	if pin := g.selector.Pin(); pin != "" && pin != r.revision.Digest {
		return nil, refused(fmt.Errorf("DigestMismatch: %s: expected the digest %s, found %s", r.revision.Version, pin, r.revision.Digest))
	}
	signatures, attestations, err := client.Attached(ctx, r.revision.Digest)
	if err != nil {
		return nil, registryProblem(ctx, err)
	}
	r.read(ctx, t, roots, signatures, attestations)
	return r, nil
}

// registryProblem puts the reason before the message, as in a condition, and
// behind it what ended the wait.
func registryProblem(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) {
		return cause
	}
	var e *registry.Error
	if errors.As(err, &e) {
		err = &registryError{fmt.Sprintf("%s: %s", e.Reason, asFlags(e.Message)), err}
	}
	if cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

func (r *inspected) read(ctx context.Context, t *terminal, roots *rootFlags, signatures, attestations []verify.Signature) {
	digest := r.revision.Digest
	root := r.rootFor(ctx, t, roots, len(signatures))
	for _, s := range signatures {
		found := inspect.Read(digest, s)
		suggestion, err := found.Suggest(digest, root)
		r.found, r.problems = append(r.found, found), append(r.problems, err)
		if err != nil {
			r.suggestions = append(r.suggestions, nil)
			continue
		}
		r.suggestions = append(r.suggestions, &suggestion)
	}
	for _, s := range attestations {
		r.found = append(r.found, inspect.Read(digest, s))
		r.suggestions, r.problems = append(r.suggestions, nil), append(r.problems, nil)
	}
}

// rootFor is the trusted root that signatures are checked by; nil, with a word
// about it, where there is none.
func (r *inspected) rootFor(ctx context.Context, t *terminal, roots *rootFlags, signatures int) *verify.TrustedRoot {
	if signatures == 0 {
		return nil
	}
	root, err := roots.root(ctx)
	if err != nil {
		t.say("note: nothing is checked: %v", err)
		return nil
	}
	return root
}

// inspectDocument is inspect's JSON and YAML.
type inspectDocument struct {
	Repository string         `json:"repository"`
	Revision   string         `json:"revision"`
	Digest     string         `json:"digest"`
	Found      []inspectEntry `json:"found"`
}

// inspectEntry is a signature or an attestation. All but checked is what it says
// of itself.
type inspectEntry struct {
	// Kind is signature, attestation or unreadable.
	Kind string `json:"kind"`
	// Format is cosign (Cosign v2) or bundle (Sigstore bundle).
	Format        string              `json:"format"`
	PredicateType string              `json:"predicateType,omitempty"`
	NamesDigest   bool                `json:"namesDigest"`
	Issuer        string              `json:"issuer,omitempty"`
	Subject       string              `json:"subject,omitempty"`
	Extensions    map[string]string   `json:"extensions,omitempty"`
	NotBefore     string              `json:"notBefore,omitempty"`
	NotAfter      string              `json:"notAfter,omitempty"`
	Keys          []string            `json:"keyFingerprints,omitempty"`
	KeyHint       string              `json:"keyHint,omitempty"`
	Log           []inspectLogEntry   `json:"transparencyLog,omitempty"`
	Timestamps    []string            `json:"timestamps,omitempty"`
	Problem       string              `json:"problem,omitempty"`
	Checked       *inspectCheckResult `json:"checked,omitempty"`
}

type inspectLogEntry struct {
	LogID string `json:"logID"`
	// URL is the log's by the trusted root, where the signature is what it claims
	// to be.
	URL            string `json:"url,omitempty"`
	Index          int64  `json:"index"`
	IntegratedTime string `json:"integratedTime,omitempty"`
}

// inspectCheckResult says whether a signature is what it claims to be.
type inspectCheckResult struct {
	Verified bool   `json:"verified"`
	Message  string `json:"message,omitempty"`
}

func (r *inspected) document() inspectDocument {
	d := inspectDocument{Repository: r.repository.String(), Revision: r.revision.String(), Digest: r.revision.Digest, Found: []inspectEntry{}}
	for i, f := range r.found {
		d.Found = append(d.Found, entryOf(f, r.suggestions[i], r.problems[i]))
	}
	return d
}

func entryOf(f inspect.Found, s *inspect.Suggestion, problem error) inspectEntry {
	e := inspectEntry{
		Kind: string(f.Kind), Format: string(f.Format), PredicateType: f.PredicateType, NamesDigest: f.NamesDigest,
		KeyHint: f.KeyHint, Problem: f.Problem,
	}
	if c := f.Certificate; c != nil {
		e.Issuer, e.Subject = c.Issuer, c.Subject
		e.NotBefore, e.NotAfter = c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339)
		for _, x := range c.Extensions {
			if e.Extensions == nil {
				e.Extensions = map[string]string{}
			}
			e.Extensions[x.Name] = x.Value
		}
	}
	for _, k := range f.Keys {
		e.Keys = append(e.Keys, k.Fingerprint())
	}
	for _, l := range f.Logs {
		entry := inspectLogEntry{LogID: l.ID, Index: l.Index}
		if !l.IntegratedTime.IsZero() {
			entry.IntegratedTime = l.IntegratedTime.Format(time.RFC3339)
		}
		e.Log = append(e.Log, entry)
	}
	for _, at := range f.Timestamps {
		e.Timestamps = append(e.Timestamps, at.Format(time.RFC3339))
	}
	switch {
	case s != nil && s.Verified != nil:
		e.Checked = &inspectCheckResult{Verified: true}
		for i := range e.Log {
			if log := s.Verified.Log; log != nil && log.LogID == e.Log[i].LogID {
				e.Log[i].URL = log.URL
			}
		}
	case s != nil:
		e.Checked = &inspectCheckResult{Message: s.Refusal.Error()}
	case problem != nil && e.Problem == "":
		e.Problem = problem.Error()
	}
	return e
}
