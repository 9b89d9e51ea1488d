package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"github.com/google/go-containerregistry/pkg/name"
)

// imagesFile is where a module has the container images that it runs.
const imagesFile = "images.cue"

// addImages adds the annotation with the images of a module that has any.
func addImages(dir string, annotations map[string]string) error {
	if _, ok := annotations[imagesAnnotation]; ok {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(dir, imagesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	images, err := findImages(text)
	if err != nil {
		return fmt.Errorf("%s: %w; or give --annotation %s=", imagesFile, err, imagesAnnotation)
	}
	if len(images) > 0 {
		annotations[imagesAnnotation] = strings.Join(images, ",")
	}
	return nil
}

// findImages returns the images below "values": structs with a repository and a
// tag or digest. They are sorted, each once.
func findImages(text []byte) ([]string, error) {
	values := cuecontext.New().CompileBytes(text, cue.Filename(imagesFile)).LookupPath(cue.ParsePath("values"))
	if err := values.Err(); err != nil {
		return nil, err
	}
	var images []string
	var failed error
	values.Walk(func(v cue.Value) bool {
		if failed != nil || v.IncompleteKind() != cue.StructKind {
			return failed == nil
		}
		field := func(name string) cue.Value { return v.LookupPath(cue.ParsePath(name)) }
		repository, tag, digest := field("repository"), field("tag"), field("digest")
		if !repository.Exists() || (!tag.Exists() && !digest.Exists()) {
			return true
		}
		image, err := reference(repository, tag, digest)
		if err != nil {
			failed = fmt.Errorf("%s: %w", v.Path(), err)
			return false
		}
		images = append(images, image)
		return false
	}, nil)
	slices.Sort(images)
	return slices.Compact(images), failed
}

// reference is repository[:tag][@digest] of the fields' defaults.
func reference(repository, tag, digest cue.Value) (string, error) {
	whole, err := text(repository)
	if err != nil {
		return "", err
	}
	if whole == "" {
		return "", errors.New("expected a repository, found an empty one")
	}
	for _, part := range []struct {
		sign  string
		value cue.Value
	}{{":", tag}, {"@", digest}} {
		if !part.value.Exists() {
			continue
		}
		found, err := text(part.value)
		if err != nil {
			return "", err
		}
		if found != "" {
			whole += part.sign + found
		}
	}
	if _, err := name.ParseReference(whole); err != nil {
		return "", fmt.Errorf("expected an image reference, found %.300q: %w", whole, err)
	}
	return whole, nil
}

// text is a string, or the default of what may be several.
func text(v cue.Value) (string, error) {
	if d, ok := v.Default(); ok {
		v = d
	}
	return v.String()
}
