package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// push pushes the image of a layout by its digest, with the credentials that
// Docker has.
func push(ctx context.Context, args []string) (v1.Hash, error) {
	if len(args) != 2 {
		return v1.Hash{}, fmt.Errorf("push: expected a layout and a repository, found %q", args)
	}
	repository, err := name.NewRepository(args[1], name.StrictValidation)
	if err != nil {
		return v1.Hash{}, err
	}
	index, err := load(args[0])
	if err != nil {
		return v1.Hash{}, err
	}
	digest, err := index.Digest()
	if err != nil {
		return v1.Hash{}, err
	}
	return digest, remote.WriteIndex(repository.Digest(digest.String()), index, options(ctx)...)
}

// tag gives what is pushed a tag.
func tag(ctx context.Context, args []string) (v1.Hash, error) {
	if len(args) != 2 {
		return v1.Hash{}, fmt.Errorf("tag: expected a reference by digest and a tag, found %q", args)
	}
	reference, err := name.NewDigest(args[0], name.StrictValidation)
	if err != nil {
		return v1.Hash{}, err
	}
	pushed, err := remote.Get(reference, options(ctx)...)
	if err != nil {
		return v1.Hash{}, err
	}
	return pushed.Digest, remote.Tag(reference.Tag(args[1]), pushed, options(ctx)...)
}

func options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
}

// cycloneDX is the media type of a bill of materials in JSON.
// https://www.iana.org/assignments/media-types/application/vnd.cyclonedx+json
const cycloneDX types.MediaType = "application/vnd.cyclonedx+json"

// attach pushes a bill of materials whose subject is an image, which is how
// registries list it there.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidelines-for-artifact-usage
func attach(ctx context.Context, args []string) (v1.Hash, error) {
	if len(args) != 2 {
		return v1.Hash{}, fmt.Errorf("attach: expected a file and a reference by digest, found %q", args)
	}
	content, err := os.ReadFile(args[0])
	if err != nil {
		return v1.Hash{}, err
	}
	subject, err := name.NewDigest(args[1], name.StrictValidation)
	if err != nil {
		return v1.Hash{}, err
	}
	descriptor, err := remote.Head(subject, options(ctx)...)
	if err != nil {
		return v1.Hash{}, err
	}
	// The configuration of an artifact says what it is, to clients of OCI 1.0 too.
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), cycloneDX)
	artifact, err = mutate.Append(artifact, mutate.Addendum{
		Layer: static.NewLayer(content, cycloneDX), MediaType: cycloneDX,
		Annotations: map[string]string{"org.opencontainers.image.title": filepath.Base(args[0])},
	})
	if err != nil {
		return v1.Hash{}, err
	}
	artifact = mutate.Subject(artifact, *descriptor).(v1.Image)
	digest, err := artifact.Digest()
	if err != nil {
		return v1.Hash{}, err
	}
	return digest, remote.Write(subject.Digest(digest.String()), artifact, options(ctx)...)
}
