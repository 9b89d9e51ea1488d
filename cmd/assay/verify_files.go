package main

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"github.com/assay-dev/assay/cmd/assay/manifests"
	"github.com/assay-dev/assay/controllers/inputs"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/trust"
	"github.com/assay-dev/assay/internal/verify"
)

// filesFlags say which manifests are verified, and where what they name is.
type filesFlags struct {
	names      []string
	secrets    []string
	configMaps []string
	cluster    otherCluster
	namespace  string
	concurrent int
	dialAllow  []string

	registry *registryFlags
	roots    *rootFlags
	output   *outputFlag
}

// The bounds of --concurrent.
const (
	defaultConcurrent = 4
	maxConcurrent     = 64
)

// addFilesFlags defines the flags of verify -f. It shares the flags for
// registries, the trusted root and the output with verify of one module.
func addFilesFlags(s *pflag.FlagSet, remote *registryFlags, roots *rootFlags, output *outputFlag) *filesFlags {
	f := &filesFlags{registry: remote, roots: roots, output: output}
	s.StringArrayVarP(&f.names, "filename", "f", nil, "file or folder with manifests, or - for standard input, whose ModuleSources are verified; may be given several times")
	s.StringArrayVar(&f.secrets, "secret", nil, "with -f: a Secret that is not in the manifests, as [NAMESPACE/]NAME=FILE: a manifest, or files that become its entries; may be given several times")
	s.StringArrayVar(&f.configMaps, "configmap", nil, "with -f: a ConfigMap in the same way")
	s.StringVar(&f.cluster.kubeconfig, "kubeconfig", "", "with -f: file of a cluster that Secrets and ConfigMaps are read from that are not in the manifests")
	s.StringVar(&f.cluster.context, "context", "", "with -f: context of the kubeconfig; without --kubeconfig, of kubectl's own")
	s.StringVarP(&f.namespace, "namespace", "n", "default", "with -f: namespace of objects that have none")
	s.IntVar(&f.concurrent, "concurrent", defaultConcurrent, "with -f: how many ModuleSources are verified at the same time")
	s.StringSliceVar(&f.dialAllow, "dial-allow", nil, "with -f: addresses or CIDRs, separated by commas, that registries may be at although they are loopback, link-local or a metadata service, as the controller's flag; default: none")
	return f
}

// Flags of verify by what they are for: those that only make sense with -f, and
// those that only do without.
var (
	flagsOfFiles  = []string{"secret", "configmap", "kubeconfig", "context", "namespace", "concurrent", "dial-allow"}
	flagsOfModule = []string{
		"version", "tag", "digest", "insecure", "cosign-key", "certificate-identity", "certificate-identity-regexp",
		"certificate-oidc-issuer", "certificate-oidc-issuer-regexp", "certificate-extension", "insecure-ignore-tlog",
	}
	formatsOfFiles = []string{"junit", "github"}
)

// wanted reports whether manifests are to be verified, and refuses what does not
// go together with that, or without it.
func (f *filesFlags) wanted(s *pflag.FlagSet, args []string) (bool, error) {
	given := func(names []string) string {
		i := slices.IndexFunc(names, s.Changed)
		if i < 0 {
			return ""
		}
		return names[i]
	}
	const instead = "assay verify -f ./deploy"
	if !s.Changed("filename") {
		if name := given(flagsOfFiles); name != "" {
			return false, usageError(instead, "--%s: expected it together with -f, found no -f", name)
		}
		if slices.Contains(formatsOfFiles, f.output.format) {
			return false, usageError(instead+" -o "+f.output.format, "--output %s: expected it together with -f, found no -f", f.output.format)
		}
		return false, nil
	}
	switch name := given(flagsOfModule); {
	case len(args) > 0:
		return false, usageError("assay verify -f "+shellWord(args[0]), "expected manifests (-f) or a module, found both: %.200q; every file or folder needs a -f of its own", args[0])
	case name != "":
		return false, usageError("", "--%s: expected a module, found -f: what a ModuleSource wants, and who must have signed it, is in its spec", name)
	case f.concurrent < 1 || f.concurrent > maxConcurrent:
		return false, usageError("", "--concurrent: expected a number from 1 to %d, found %d", maxConcurrent, f.concurrent)
	}
	return true, nil
}

// verifyFiles verifies every ModuleSource in manifests.
func verifyFiles(ctx context.Context, t *terminal, f *filesFlags) error {
	set, err := manifests.Read(f.names, t.in)
	var notThere *manifests.NotFoundError
	switch {
	case errors.As(err, &notThere):
		return usageError("", "-f: %v", err)
	case err != nil:
		return err
	}
	references, err := f.references(set)
	if err != nil {
		return err
	}
	if _, err := f.roots.source(); err != nil {
		return err // It is wrong even where nobody asks for it.
	}
	server, err := manifests.NewAPIServer()
	if err != nil {
		return err
	}
	pool, err := f.pool(t)
	if err != nil {
		return err
	}
	defer pool.Close()
	judge := &manifests.Judge{
		Server: server, References: references, Syncer: &source.Syncer{Pool: pool, Now: t.now},
		DefaultRoot: f.defaultRoot(ctx), Credentials: f.credentials,
		AllowInsecureCredentials: f.registry.insecureCredentials,
		Namespace:                f.namespace, Concurrent: f.concurrent, Now: t.now,
	}
	report := judge.All(ctx, set)
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if err := t.printReport(f.output, report); err != nil {
		return err
	}
	f.sayMore(t, set, report)
	switch {
	case report.Summary.IsNo():
		return refusedSilently()
	case report.Summary.Unknown > 0:
		return failedSilently()
	}
	return nil
}

// pool goes where the controller would go: who writes a manifest must not send
// the machine that checks it to its own services.
func (f *filesFlags) pool(t *terminal) (*registry.Pool, error) {
	allowed, err := registry.ParseDialAllow(f.dialAllow)
	if err != nil {
		return nil, usageError("", "--dial-allow: %v", err)
	}
	return registry.NewPool(registry.Options{UserAgent: userAgent(), DialAllow: allowed, Now: t.now}), nil
}

// references has what the manifests, the flags and the cluster have.
func (f *filesFlags) references(set *manifests.Set) (*manifests.References, error) {
	references := manifests.NewReferences(set, f.namespace)
	for _, text := range f.secrets {
		if err := references.GiveSecret(text); err != nil {
			return nil, usageError("", "--secret: %v", err)
		}
	}
	for _, text := range f.configMaps {
		if err := references.GiveConfigMap(text); err != nil {
			return nil, usageError("", "--configmap: %v", err)
		}
	}
	reader, name, err := f.cluster.reader()
	if err != nil {
		return nil, err
	}
	if reader != nil { // A nil client is none.
		references.Cluster, references.ClusterName = reader, name
	}
	return references, nil
}

// defaultRoot is the trusted root of the flags. It is fetched once, when the
// first ModuleSource asks for it.
func (f *filesFlags) defaultRoot(ctx context.Context) func() (*verify.TrustedRoot, error) {
	return sync.OnceValues(func() (*verify.TrustedRoot, error) {
		root, err := f.roots.root(ctx)
		if err == nil {
			return root, nil
		}
		if unavailable := (*trust.UnavailableError)(nil); errors.As(err, &unavailable) {
			err = unavailable
		}
		return nil, &inputs.UnreadableError{Why: "there is " + err.Error() + " (--trusted-root FILE takes one from a file)"}
	})
}

// credentials are the user's own.
func (f *filesFlags) credentials(ctx context.Context, repository registry.Repository, insecure bool) (registry.Credentials, error) {
	remote := &registryFlags{insecure: insecure, insecureCredentials: f.registry.insecureCredentials}
	auth, err := remote.authConfig(ctx, repository)
	if err != nil {
		return registry.Credentials{}, err
	}
	return registry.NewCredentials(auth), nil
}

// sayMore says what the report does not.
func (f *filesFlags) sayMore(t *terminal, set *manifests.Set, report manifests.Report) {
	if folder := kustomized(set, report); folder != "" {
		t.say("note: %s holds a kustomization, whose patches and generators are not applied here: kustomize build %s | %s verify -f -", clean(folder), clean(shellWord(folder)), t.program)
	}
	t.say("%s", summary(report))
}

// kustomized is the first folder with a kustomization that a ModuleSource is in,
// or may come out of, where none was found; "" for none.
func kustomized(set *manifests.Set, report manifests.Report) string {
	if len(report.Results) == 0 && len(set.Kustomizations) > 0 {
		return set.Kustomizations[0]
	}
	for _, folder := range set.Kustomizations {
		for _, result := range report.Results {
			if folder == "." && !path.IsAbs(result.File) || strings.HasPrefix(result.File, folder+"/") {
				return folder
			}
		}
	}
	return ""
}

// isMissing reports whether an error says that a file is not there.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
