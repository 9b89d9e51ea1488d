package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/trust"
)

// pullFlags are those of pull, beside the ones that other commands have too.
type pullFlags struct {
	dir    string
	verify string
	force  bool

	remote *registryFlags
	wanted *targetFlags
	policy *policyFlags
	limits *limitFlags
	format *outputFlag
}

func newPullCommand(t *terminal) *cobra.Command {
	f := &pullFlags{}
	c := &cobra.Command{
		Use:   "pull oci://REPOSITORY --output DIR --verify cosign",
		Short: "Pull a module that is verified into a folder",
		Long: `pull resolves a version once, collects the signatures of that digest, judges them
as the controller does, and pulls that digest if the verdict is yes. The folder has
the files that the controller would publish.

There is no way to pull without verifying. Unless the verdict is yes and the whole
module is there, the folder stays as it was, or away.

A folder that is there and not empty is replaced with --force: as a whole, in one
step. That needs Linux or macOS, and a file system that can exchange two folders.`,
		Example: `  assay pull oci://ghcr.io/my-org/modules/my-app --version 1.0.0 --output ./my-module \
    --verify cosign --cosign-key cosign.pub
  assay pull oci://ghcr.io/my-org/modules/my-app --version 1.x --output ./my-module --force \
    --verify cosign \
    --certificate-identity-regexp 'https://github\.com/my-org/my-app/.*' \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com`,
		Args: arguments("oci://REPOSITORY"),
		RunE: func(c *cobra.Command, args []string) error {
			g, to, err := f.parse(args[0])
			if err != nil {
				return err
			}
			ctx, cancel, err := f.remote.deadline(c.Context())
			if err != nil {
				return err
			}
			defer cancel()
			return f.run(ctx, t, g, to)
		},
	}
	s := c.Flags()
	s.StringVar(&f.dir, "output", "", "folder to pull into, made if it is not there; required")
	s.StringVar(&f.verify, "verify", "", "how to verify: cosign; required")
	offer(s, "verify", "cosign")
	s.BoolVar(&f.force, "force", false, "replace the folder, if it is there and not empty")
	f.wanted = addTargetFlags(s)
	f.policy = addPolicyFlags(s)
	f.remote = addRegistryFlags(s)
	f.limits = addLimitFlags(s)
	f.format = addNamedOutputFlag(s, "format", "json", "yaml")
	return c
}

// parse checks the whole command line, before anybody is asked.
func (f *pullFlags) parse(url string) (target, *place, error) {
	if err := f.format.check(); err != nil {
		if f.dir == "" { // -o is the folder elsewhere.
			return target{}, nil, usageError("--output "+f.format.format, "%v", err)
		}
		return target{}, nil, err
	}
	if err := f.limits.check(); err != nil {
		return target{}, nil, err
	}
	switch f.verify {
	case "cosign":
	case "":
		return target{}, nil, usageError("--verify cosign "+tryKey, "--verify: expected cosign, found nothing: like the controller, pull has no way around the verdict")
	default:
		return target{}, nil, usageError("--verify cosign", "--verify: expected cosign, found %.100q", f.verify)
	}
	if f.dir == "" {
		return target{}, nil, usageError("--output ./my-module", "--output: expected a folder, found nothing")
	}
	g, err := f.wanted.parse(f.remote, url)
	if err != nil {
		return target{}, nil, err
	}
	to, err := newPlace(f.dir, f.force)
	return g, to, err
}

// pulled is what pull prints: the verdict, and what was written.
type pulled struct {
	verdict
	// Output is the folder, as it was given.
	Output string `json:"output"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
}

// run judges, pulls, puts the folder in place, and says so last: whoever reads
// the output may be gone, which ends the process.
func (f *pullFlags) run(ctx context.Context, t *terminal, g target, to *place) error {
	policy, err := f.policy.policy(ctx)
	var noRoot *trust.UnavailableError
	if errors.As(err, &noRoot) && ctx.Err() == nil {
		v := withoutRoot(g, f.policy, noRoot)
		return errors.Join(t.print(f.format, v, func() error { return v.print(t) }), v.exit())
	}
	if err != nil {
		return err
	}
	request, err := g.request(ctx, f.remote, policy)
	if err != nil {
		return err
	}
	v, written, err := f.pull(ctx, t, request, to)
	if err != nil {
		return err
	}
	if written == nil {
		if err := t.print(f.format, v, func() error { return v.print(t) }); err != nil {
			return err
		}
		return v.exit()
	}
	done := pulled{v, f.dir, written.Files, written.Bytes}
	return t.print(f.format, done, func() error { return done.print(t) })
}

// pull leaves the folder in its place, or nothing. Where the verdict is not a yes,
// nothing was written.
func (f *pullFlags) pull(ctx context.Context, t *terminal, request source.Request, to *place) (verdict, *artifact.Extracted, error) {
	temp, err := to.open()
	if err != nil {
		return verdict{}, nil, err
	}
	defer func() {
		if left := temp.close(); left != nil {
			t.say("note: a temporary folder could not be removed: %v", left)
		}
	}()
	o, content, err := f.fetch(ctx, t, request, temp.layers)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return verdict{}, nil, ctx.Err()
	}
	v := newVerdict(ctx, t, request.Repository, o, err)
	if err != nil && (o.Verified.IsZero() || v.Verified == metav1.ConditionFalse) {
		return v, nil, nil
	}
	extracted, err := f.extract(ctx, o, content, temp.tree, err)
	if err != nil {
		return v, nil, err
	}
	return v, &extracted, to.put(ctx, temp)
}

// fetch takes the controller's way from the version to the layers.
func (f *pullFlags) fetch(ctx context.Context, t *terminal, request source.Request, dir string) (source.Outcome, registry.Content, error) {
	pool := newPool(t)
	defer pool.Close()
	bar := t.newBar("pulling")
	defer bar.close()
	syncer := &source.Syncer{Pool: pool, Now: t.now, MaxLayerBytes: f.limits.ArchiveBytes, Progress: bar.tell}
	return syncer.Pull(ctx, request, dir)
}

// extract writes the files of what is verified. Where the layers were not
// fetched, failed says why.
func (f *pullFlags) extract(ctx context.Context, o source.Outcome, content registry.Content, dir string, failed error) (artifact.Extracted, error) {
	var extracted artifact.Extracted
	if failed == nil {
		layers := make([]artifact.Layer, 0, len(content.Layers))
		for _, path := range content.Layers {
			layers = append(layers, artifact.Layer{Path: path})
		}
		extracted, failed = artifact.Extract(ctx, o.Verified, layers, dir, f.limits.Limits)
	}
	if cause := context.Cause(ctx); failed != nil && ctx.Err() != nil {
		failed = cause
	}
	if failed != nil {
		return artifact.Extracted{}, fmt.Errorf("%s is verified, but could not be pulled: %w", o.Revision, failed)
	}
	return extracted, nil
}

func (p pulled) print(t *terminal) error {
	if err := p.verdict.print(t); err != nil {
		return err
	}
	var r rows
	r.add("pulled to", p.Output)
	r.add("files", fmt.Sprintf("%d, %d bytes", p.Files, p.Bytes))
	r.print(t.out)
	return nil
}
