package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/assay-dev/assay/internal/pack"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/signing"
)

// pushFlags are those of push, beside the ones that other commands have too.
type pushFlags struct {
	version      string
	latest       bool
	set          *pflag.FlagSet
	force        bool
	annotations  []string
	artifactType string
	sign         string

	signing *signingFlags
	// ofSigning are the flags of signing alone.
	ofSigning *pflag.FlagSet

	remote *registryFlags
	limits *limitFlags
	output *outputFlag
}

func newPushCommand(t *terminal) *cobra.Command {
	f := &pushFlags{}
	c := &cobra.Command{
		Use:   "push MODULE_DIR oci://REPOSITORY --version VERSION",
		Short: "Push a module, and sign it",
		Long: `push packs a folder and pushes it by its digest, signs that digest where --sign
says so, and only then gives it its tags: nobody ever resolves the version to
something that is not signed yet. If signing fails, or is interrupted, no tag is
there or moved; what was pushed by digest does no harm, and the next push goes on
from it.

A module is packed as "timoni mod push" does, to the same digest: cue.mod in a
layer of its own, timoni.ignore with the patterns of .gitignore, the container
images of images.cue, and source, revision and time from Git. Symbolic links are
left out. With --artifact-type flux, a folder of manifests is packed as "flux push
artifact" does; with generic, any folder as one layer. Both heed .sourceignore.

What the controller would refuse is refused before anything is sent. A version
that is there already keeps its digest: pushing the same again changes nothing,
and something else needs --force.`,
		Example: `  assay push ./modules/my-app oci://ghcr.io/my-org/modules/my-app --version 1.0.0
  assay push ./modules/my-app oci://ghcr.io/my-org/modules/my-app --version 2.0.0-rc.1
  assay push ./modules/my-app oci://ghcr.io/my-org/modules/my-app --version 1.0.0 --sign cosign --cosign-key cosign.key
  assay push ./modules/my-app oci://ghcr.io/my-org/modules/my-app --version 1.0.0 --sign cosign --yes
  assay push ./deploy oci://ghcr.io/my-org/deploy --version 1.0.0 --artifact-type flux`,
		Args: arguments("MODULE_DIR", "oci://REPOSITORY"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := f.parse(args[0], args[1])
			if err != nil {
				return err
			}
			ctx, cancel, err := f.remote.deadline(c.Context())
			if err != nil {
				return err
			}
			defer cancel()
			packed, signature, err := p.run(ctx, t, f)
			if err != nil {
				return err
			}
			return p.report(t, f, packed, signature)
		},
	}
	s := c.Flags()
	s.StringVar(&f.version, "version", "", "semantic version, such as 1.0.0 or 1.0.0-rc.1, which becomes the tag; required")
	s.BoolVar(&f.latest, "latest", true, "also set the tag latest; --latest=false for a version that is not to be the latest one; default for a pre-release: false")
	s.BoolVar(&f.force, "force", false, "move the version to another digest, if it is there already; the controller refuses what changed under a version")
	s.StringArrayVarP(&f.annotations, "annotation", "a", nil, "annotation of the manifest, as key=value; may be given several times")
	s.StringVar(&f.artifactType, "artifact-type", string(pack.Timoni), "what the folder is: timoni, flux or generic")
	s.StringVar(&f.sign, "sign", "", "sign what is pushed: cosign; default: do not")
	f.set = s
	f.ofSigning = pflag.NewFlagSet("signing", pflag.ContinueOnError)
	f.signing = addSigningFlags(f.ofSigning)
	s.AddFlagSet(f.ofSigning)
	offer(s, "artifact-type", string(pack.Timoni), string(pack.Flux), string(pack.Generic))
	offer(s, "sign", "cosign")
	f.remote = addRegistryFlags(s)
	f.limits = addLimitFlags(s)
	f.output = addOutputFlag(s, "json", "yaml")
	return c
}

// push is one push, whose flags make sense.
type push struct {
	dir         string
	repository  registry.Repository
	version     string
	annotations map[string]string
	kind        pack.Type
}

// latestTag is the tag of the latest version, as Timoni has it.
const latestTag = "latest"

// parse checks the whole command line, before anything is packed or sent.
func (f *pushFlags) parse(dir, url string) (*push, error) {
	p := &push{dir: dir, version: f.version, kind: pack.Type(f.artifactType)}
	if err := errors.Join(f.output.check(), f.limits.check()); err != nil {
		return nil, err
	}
	if err := f.checkType(); err != nil {
		return nil, err
	}
	if err := checkVersion(f.version); err != nil {
		return nil, err
	}
	if err := f.checkSign(); err != nil {
		return nil, err
	}
	var err error
	if p.repository, err = f.parseURL(dir, url); err != nil {
		return nil, err
	}
	if v, err := semver.StrictNewVersion(f.version); err == nil && v.Prerelease() != "" && !f.set.Changed("latest") {
		f.latest = false // Nobody who follows the latest asked for it.
	}
	p.annotations, err = parseAnnotations(f.annotations)
	return p, err
}

func (f *pushFlags) checkType() error {
	for _, known := range pack.Types() {
		if f.artifactType == string(known) {
			return nil
		}
	}
	return usageError("", "--artifact-type: expected timoni, flux or generic, found %.100q", f.artifactType)
}

// checkSign wants --sign where anything is said about how to sign.
func (f *pushFlags) checkSign() error {
	if f.sign == "cosign" {
		return nil
	}
	if f.sign != "" {
		return usageError("--sign cosign", "--sign: expected cosign, found %.100q", f.sign)
	}
	var err error
	f.ofSigning.VisitAll(func(flag *pflag.Flag) {
		if flag.Changed && err == nil {
			err = usageError("--sign cosign", "--sign: expected cosign beside --%s, found nothing: it would not be signed", flag.Name)
		}
	})
	return err
}

// checkVersion wants a version that is a tag as it stands, as Timoni does.
func checkVersion(version string) error {
	if version == "" {
		return usageError("--version 1.0.0", "--version: expected a semantic version, found none")
	}
	parsed, err := semver.StrictNewVersion(version)
	switch {
	case err == nil && parsed.Metadata() == "":
		return nil
	case err == nil:
		without, _, _ := strings.Cut(version, "+")
		return usageError("--version "+without, "--version: expected no build metadata, which a tag cannot hold, found %.100q", version)
	}
	// What was meant: v1.0.0, 1.0.
	instead := ""
	if meant, err := semver.NewVersion(version); err == nil {
		instead = fmt.Sprintf("--version %d.%d.%d", meant.Major(), meant.Minor(), meant.Patch())
		if meant.Prerelease() != "" {
			instead += "-" + meant.Prerelease()
		}
	}
	return usageError(instead, "--version: expected a semantic version of three numbers, such as 1.0.0 or 1.0.0-rc.1, found %.100q", version)
}

// parseURL reads oci://repository. The version is the tag, so the URL has none.
func (f *pushFlags) parseURL(dir, url string) (registry.Repository, error) {
	again := func(url string) string {
		return fmt.Sprintf("assay push %s %s --version %s", dir, url, f.version)
	}
	rest, isURL := strings.CutPrefix(url, "oci://")
	if !isURL && !strings.Contains(url, "://") {
		return registry.Repository{}, usageError(again("oci://"+url), "expected oci://<registry>[:port]/<repository>, found %.200q", url)
	}
	bare, _, hasDigest := strings.Cut(rest, "@")
	slash := strings.LastIndex(bare, "/")
	colon := strings.LastIndex(bare, ":")
	hasTag := slash >= 0 && colon > slash
	if hasTag {
		bare = bare[:colon]
	}
	if isURL && (hasTag || hasDigest) {
		return registry.Repository{}, usageError(again("oci://"+bare), "expected a URL without tag or digest, since --version is the tag, found %.200q", url)
	}
	repository, err := registry.ParseRepository(url, f.remote.insecure)
	if err != nil {
		return registry.Repository{}, usageError("", "%v", err)
	}
	return repository, nil
}

func parseAnnotations(pairs []string) (map[string]string, error) {
	annotations := map[string]string{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usageError("--annotation org.opencontainers.image.licenses=Apache-2.0", "--annotation: expected key=value, found %.200q", pair)
		}
		annotations[key] = value
	}
	return annotations, nil
}

// run packs, pushes by digest, and tags last. What is returned is on the disk no
// more: whoever reads the report may be gone, which ends the process.
func (p *push) run(ctx context.Context, t *terminal, f *pushFlags) (*pack.Packed, *signing.Result, error) {
	packed, err := p.pack(ctx, t, f)
	if err != nil {
		return nil, nil, err
	}
	defer packed.Close()
	if f.sign != "" {
		if err := f.signing.check(ctx, t); err != nil {
			return nil, nil, err
		}
	}
	to, err := f.remote.destination(ctx, p.repository)
	if err != nil {
		return nil, nil, err
	}
	tags, err := p.tags(ctx, f, to, packed.Digest)
	if err != nil {
		return nil, nil, err
	}
	if err := to.write(ctx, t, packed); err != nil {
		return nil, nil, err
	}
	signature, err := p.sign(ctx, t, f, packed.Digest)
	if err != nil {
		return nil, nil, err
	}
	// Once more: signing may have taken a while, and somebody else may have been
	// faster.
	if _, err := p.tags(ctx, f, to, packed.Digest); err != nil {
		return nil, nil, err
	}
	for i, tag := range tags {
		if err := to.tag(ctx, tag, packed.Image); err != nil {
			if i > 0 {
				err = fmt.Errorf("%w\nThe tag %s is set, and %s is not: push the same again", err, tags[0], tag)
			}
			return nil, nil, err
		}
	}
	return packed, signature, nil
}

// sign signs the digest, which no tag names yet. It is nil where it is not to be
// signed.
func (p *push) sign(ctx context.Context, t *terminal, f *pushFlags, digest string) (*signing.Result, error) {
	if f.sign == "" {
		return nil, nil
	}
	result, err := f.signing.sign(ctx, t, f.remote, p.repository, digest)
	if err != nil {
		return nil, fmt.Errorf("%w\nNothing was tagged: oci://%s:%s is what it was before", err, p.repository, p.version)
	}
	return &result, nil
}

func (p *push) pack(ctx context.Context, t *terminal, f *pushFlags) (*pack.Packed, error) {
	packed, err := pack.Pack(ctx, pack.Options{
		Dir: p.dir, Type: p.kind, Version: p.version, Annotations: p.annotations, Limits: f.limits.Limits, Getenv: t.getenv,
	})
	switch {
	case errors.Is(err, pack.ErrNotAModule):
		return nil, usageError("--artifact-type flux, for Kubernetes manifests\n     --artifact-type generic, for anything else", "%s: %v", p.dir, err)
	case errors.Is(err, pack.ErrFolder):
		return nil, usageError("", "%v", err)
	case err != nil:
		return nil, fmt.Errorf("packing %s: %w", p.dir, err)
	}
	for _, path := range packed.Skipped {
		t.say("note: left out, being neither a file nor a folder: %s", clean(path))
	}
	for _, note := range packed.Notes {
		t.say("note: %s", clean(note))
	}
	return packed, nil
}

// tags are the tags to set. The version's is not among them if it names the
// digest already, so that a registry that lets no tag be set twice agrees. It is
// an error if it names another one.
func (p *push) tags(ctx context.Context, f *pushFlags, to *destination, digest string) ([]string, error) {
	var tags []string
	found, err := to.digestOf(ctx, p.version)
	switch {
	case err != nil:
		return nil, err
	case found == "" || (found != digest && f.force):
		tags = append(tags, p.version)
	case found != digest:
		return nil, fmt.Errorf("oci://%s:%s is there already, with the digest %s, and what is pushed has the digest %s\n"+
			"A version keeps its digest: push a higher one, or move this one with --force", p.repository, p.version, found, digest)
	}
	if f.latest {
		tags = append(tags, latestTag)
	}
	return tags, nil
}
