package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/pflag"

	"github.com/assay-dev/assay/internal/registry"
)

// registryFlags say how to speak to a registry. Credentials are those that
// docker login left: ~/.docker/config.json ($DOCKER_CONFIG), with its credential
// helpers, or Podman's auth.json. The proxy is that of the environment.
type registryFlags struct {
	insecure            bool
	insecureCredentials bool
	timeout             time.Duration
	// known are credentials by repository. A command uses them from one goroutine.
	known map[string]authn.AuthConfig
}

func addRegistryFlags(s *pflag.FlagSet) *registryFlags {
	f := &registryFlags{}
	s.BoolVar(&f.insecure, "insecure", false, "speak plain HTTP to the registry")
	s.BoolVar(&f.insecureCredentials, "allow-insecure-credentials", false, "send credentials over plain HTTP, together with --insecure")
	s.DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long everything may take")
	return f
}

// deadline bounds a command by --timeout.
func (f *registryFlags) deadline(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if f.timeout <= 0 {
		return nil, nil, usageError("", "--timeout: expected more than 0, found %s", f.timeout)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, timeoutError(f.timeout))
	return ctx, cancel, nil
}

// timeoutError is the cause of a context that --timeout ended. It is one of a
// deadline, since net/http returns the cause in the place of the context's error.
type timeoutError time.Duration

func (e timeoutError) Error() string {
	return fmt.Sprintf("it took longer than --timeout, which is %s", time.Duration(e))
}

func (timeoutError) Unwrap() error { return context.DeadlineExceeded }

// everywhere are all addresses: who types a registry's name may go there.
var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// newPool is the way to registries for what is read.
func newPool(t *terminal) *registry.Pool {
	return registry.NewPool(registry.Options{UserAgent: userAgent(), DialAllow: everywhere, Now: t.now})
}

func userAgent() string { return "assay/" + versionText() }

// authConfig are the user's credentials for a repository; the zero value for
// none. They are looked for once: a helper is a program, and may ask a person.
func (f *registryFlags) authConfig(ctx context.Context, repo registry.Repository) (authn.AuthConfig, error) {
	if known, ok := f.known[repo.String()]; ok {
		return known, nil
	}
	found, err := f.findAuthConfig(ctx, repo)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	if f.known == nil {
		f.known = map[string]authn.AuthConfig{}
	}
	f.known[repo.String()] = found
	return found, nil
}

func (f *registryFlags) findAuthConfig(ctx context.Context, repo registry.Repository) (authn.AuthConfig, error) {
	resource, err := f.repository(repo)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	// A credential helper is another program, which asks, or hangs, as it likes.
	config, err := await(ctx, func() (*authn.AuthConfig, error) {
		found, err := authn.Resolve(ctx, authn.DefaultKeychain, resource)
		if err != nil {
			return nil, err
		}
		return authn.Authorization(ctx, found)
	})
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("credentials for %s in Docker's configuration: %w", repo.Host(), err)
	}
	if *config != (authn.AuthConfig{}) && f.insecure && !f.insecureCredentials {
		return authn.AuthConfig{}, usageError("", "--insecure: expected no credentials, which would be sent in the clear, found some for %s in Docker's configuration: log out, or add --allow-insecure-credentials", repo.Host())
	}
	return *config, nil
}

// repository is the repository as go-containerregistry has it, for what is
// written.
func (f *registryFlags) repository(repo registry.Repository) (name.Repository, error) {
	options := []name.Option{name.StrictValidation}
	if f.insecure {
		options = append(options, name.Insecure)
	}
	return name.NewRepository(repo.String(), options...)
}

// writer are the options for what is written to a repository.
func (f *registryFlags) writer(ctx context.Context, repo registry.Repository) ([]remote.Option, error) {
	config, err := f.authConfig(ctx, repo)
	if err != nil {
		return nil, err
	}
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuth(authn.FromConfig(config)),
		remote.WithUserAgent(userAgent()),
		remote.WithTransport(f.transport()),
	}, nil
}

// transport is the way to a registry that is written to.
func (f *registryFlags) transport() http.RoundTripper {
	if f.insecure {
		return remote.DefaultTransport
	}
	return onlyHTTPS{remote.DefaultTransport}
}

// onlyHTTPS refuses plain HTTP: go-containerregistry falls back to it where a
// registry is on this machine or in a private network, with the credentials.
type onlyHTTPS struct{ http.RoundTripper }

func (o onlyHTTPS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("expected HTTPS, found that %s wants plain HTTP: add --insecure if that is meant", r.URL.Host)
	}
	return o.RoundTripper.RoundTrip(r)
}

// targetFlags say which revision of a repository is meant, beside what the URL
// itself says.
type targetFlags struct{ version, tag, digest string }

func addTargetFlags(s *pflag.FlagSet) *targetFlags {
	f := &targetFlags{}
	s.StringVar(&f.version, "version", "", "version or range, such as 1.0.0 or 6.x; default: the highest that is stable")
	s.StringVar(&f.tag, "tag", "", "tag, such as latest")
	s.StringVar(&f.digest, "digest", "", "digest, sha256:…, alone or as what the version or tag must be")
	return f
}

// target is a revision that is meant.
type target struct {
	repository registry.Repository
	selector   registry.Selector
}

// parse reads oci://repository, or the same with :tag or @sha256:… after it, as
// other tools print it.
func (f *targetFlags) parse(r *registryFlags, url string) (target, error) {
	wanted := *f
	rest, digest, hasDigest := strings.Cut(url, "@")
	if hasDigest {
		if wanted.digest != "" && wanted.digest != digest {
			return target{}, usageError("", "--digest: expected one digest, found %.100q beside the one in %.300q", wanted.digest, url)
		}
		wanted.digest = digest
	}
	if at := strings.LastIndex(rest, ":"); at > strings.LastIndex(rest, "/") && strings.Count(rest, "/") > 2 {
		if wanted.tag != "" || wanted.version != "" {
			return target{}, usageError("", "expected --version, --tag or a tag in the URL, found more than one of them: %.300q", url)
		}
		rest, wanted.tag = rest[:at], rest[at+1:] // Beside a digest, it must resolve to it.
	}
	repository, err := registry.ParseRepository(rest, r.insecure)
	if err != nil {
		return target{}, usageError(withScheme(url), "%v", err)
	}
	selector, err := registry.NewSelector(wanted.version, wanted.tag, wanted.digest, "")
	if bad := (*registry.SelectorError)(nil); errors.As(err, &bad) {
		return target{}, usageError("", "--%s: %s", bad.Field, bad.Problem)
	}
	return target{repository, selector}, err
}

// withScheme is what to type instead of a reference without oci://.
func withScheme(url string) string {
	if lower := strings.ToLower(url); strings.HasPrefix(lower, "oci://") && lower != url {
		return lower
	}
	if strings.Contains(url, "://") {
		return ""
	}
	if _, err := os.Stat(url); err == nil {
		return "assay verify -f " + shellWord(url)
	}
	return "oci://" + url
}
