package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/assay-dev/assay/internal/pack"
	"github.com/assay-dev/assay/internal/registry"
)

// destination is a repository that is pushed to.
type destination struct {
	repo name.Repository
	// options are those of go-containerregistry, with its retries.
	options []remote.Option
	// session may pull and push.
	session http.RoundTripper
}

// destination opens a repository to push to. What comes first is a question, but
// with the right to push: a registry may not tell of a repository that is not
// there yet to somebody who only wants to read it.
func (f *registryFlags) destination(ctx context.Context, repository registry.Repository) (*destination, error) {
	d := &destination{}
	var err error
	if d.repo, err = f.repository(repository); err != nil {
		return nil, err
	}
	if d.options, err = f.writer(ctx, repository); err != nil {
		return nil, err
	}
	config, err := f.authConfig(ctx, repository)
	if err != nil {
		return nil, err
	}
	way := transport.NewUserAgent(transport.NewRetry(f.transport()), userAgent())
	d.session, err = transport.NewWithContext(ctx, d.repo.Registry, authn.FromConfig(config), way, []string{d.repo.Scope(transport.PushScope)})
	if err != nil {
		return nil, registryFailed(ctx, "signing in to "+repository.Host(), err)
	}
	return d, nil
}

// digestOf is the digest that a tag names, or "" where it is not there.
func (d *destination) digestOf(ctx context.Context, tag string) (string, error) {
	ref := d.repo.Tag(tag)
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(d.session)}
	found, err := remote.Head(ref, options...)
	if status := (*transport.Error)(nil); err != nil && !errors.As(err, &status) && ctx.Err() == nil {
		// A registry need not name the digest in an answer without a body.
		var whole *remote.Descriptor
		if whole, err = remote.Get(ref, options...); err == nil {
			return whole.Digest.String(), nil
		}
	}
	if status := (*transport.Error)(nil); errors.As(err, &status) && status.StatusCode == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", registryFailed(ctx, "asking for the tag "+tag, err)
	}
	return found.Digest.String(), nil
}

// write pushes the layers and the manifest, by its digest: no tag names it yet.
func (d *destination) write(ctx context.Context, t *terminal, packed *pack.Packed) error {
	watching, wait := t.newBar("pushing").watch()
	err := remote.Write(d.repo.Digest(packed.Digest), packed.Image, append(watching, d.options...)...)
	wait()
	return registryFailed(ctx, "pushing "+d.repo.Name(), err)
}

// tag makes a tag name what was pushed.
func (d *destination) tag(ctx context.Context, tag string, image v1.Image) error {
	return registryFailed(ctx, fmt.Sprintf("setting the tag %s of %s", tag, d.repo.Name()), remote.Tag(d.repo.Tag(tag), image, d.options...))
}

// registryError is an error of a registry, whose text is the registry's in part.
type registryError struct {
	text string
	err  error
}

func (e *registryError) Error() string { return e.text }
func (e *registryError) Unwrap() error { return e.err }

// maxRegistryText bounds what is repeated of a registry's answer.
const maxRegistryText = 500

// registryFailed words what failed, and cleans the text of the answer. It is nil
// for nil.
func registryFailed(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	text := clean(err.Error())
	if cause := context.Cause(ctx); ctx.Err() != nil {
		text = cause.Error()
	} else if len(text) > maxRegistryText {
		text = text[:maxRegistryText] + "…"
	}
	if status := (*transport.Error)(nil); errors.As(err, &status) {
		switch status.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			text += "\nTry: docker login, with a user who may push there"
		}
	}
	return &registryError{what + ": " + text, err}
}
