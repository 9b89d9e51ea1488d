package manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxGivenBytes bounds a Secret or ConfigMap, as the API server does.
const maxGivenBytes = corev1.MaxSecretSize

// GiveSecret takes a Secret that is not in the manifests: NAME=FILE or
// NAMESPACE/NAME=FILE, where NAME alone is one in every namespace. FILE is a
// manifest with a Secret of that name; or a file or folder whose files become
// entries of their names, as kubectl create secret --from-file makes them, with
// NAME=ENTRY=FILE for an entry of another name. A Docker configuration becomes a
// Secret of type kubernetes.io/dockerconfigjson. Given again, it is added to.
func (r *References) GiveSecret(text string) error { return r.give("Secret", text) }

// GiveConfigMap is [References.GiveSecret] for a ConfigMap.
func (r *References) GiveConfigMap(text string) error { return r.give("ConfigMap", text) }

func (r *References) give(kind, text string) error {
	ref, from, err := parseGiven(kind, text)
	if err != nil {
		return err
	}
	entry := ""
	info, err := os.Stat(from)
	if name, file, ok := strings.Cut(from, "="); ok && errors.Is(err, os.ErrNotExist) {
		entry, from = name, file
		info, err = os.Stat(from)
	}
	if err != nil {
		return fmt.Errorf("%.300q: expected a file or folder: %w", text, withoutPath(err))
	}
	files := map[string]string{entryName(entry, from): from}
	if info.IsDir() {
		if files, err = filesIn(from); err != nil {
			return err
		}
	}
	return r.giveFiles(ref, files, entry == "" && !info.IsDir())
}

// parseGiven reads [NAMESPACE/]NAME=FILE.
func parseGiven(kind, text string) (reference, string, error) {
	name, from, ok := strings.Cut(text, "=")
	ref := reference{kind: kind, name: name}
	if namespace, rest, found := strings.Cut(name, "/"); found {
		ref.namespace, ref.name = namespace, rest
		if len(validation.IsDNS1123Label(namespace)) > 0 {
			ok = false
		}
	}
	if !ok || from == "" || len(apivalidation.NameIsDNSSubdomain(ref.name, false)) > 0 {
		return ref, "", fmt.Errorf("expected NAME=FILE or NAMESPACE/NAME=FILE with the name of a %s, found %.300q", kind, text)
	}
	return ref, from, nil
}

func entryName(entry, file string) string {
	if entry != "" {
		return entry
	}
	return filepath.Base(file)
}

// filesIn are the files of a folder by name, without those in folders below it.
func filesIn(folder string) (map[string]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		// Of a mounted Secret, every file is a symbolic link.
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			files[entry.Name()] = path
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: expected files in the folder, found none", folder)
	}
	return files, nil
}

// giveFiles takes files as entries, or, where it may be one, as a manifest.
func (r *References) giveFiles(ref reference, files map[string]string, mayBeManifest bool) error {
	for name, path := range files {
		content, err := readGiven(path)
		if err != nil {
			return err
		}
		if mayBeManifest {
			if found, err := r.giveManifest(ref, path, content); found || err != nil {
				return err
			}
		}
		if problems := validation.IsConfigMapKey(name); len(problems) > 0 {
			return fmt.Errorf("%s: expected the name of an entry, found %.100q: write %s=ENTRY=FILE", path, name, ref.name)
		}
		r.addEntry(ref, name, content)
	}
	return nil
}

func readGiven(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxGivenBytes+1))
	if err == nil && len(content) > maxGivenBytes {
		err = fmt.Errorf("%s: expected at most %d bytes, found more", path, maxGivenBytes)
	}
	return content, err
}

// giveManifest takes the object from a manifest, if the file is one.
func (r *References) giveManifest(ref reference, path string, content []byte) (bool, error) {
	set := &Set{}
	(&parser{file: path, set: set}).parse(content)
	var others []string
	for _, o := range set.Objects {
		if o.kind() != ref.kind {
			continue
		}
		if o.name() != ref.name || ref.namespace != "" && o.namespace(ref.namespace) != ref.namespace {
			others = append(others, o.name())
			continue
		}
		_, e := o.reference(ref.namespace)
		if e.object == nil {
			return false, fmt.Errorf("%s %s: expected one that can be read: %s", ref.kind, ref.name, e.why)
		}
		r.given[ref] = e.object
		return true, nil
	}
	if len(others) > 0 {
		return false, fmt.Errorf("%s: expected a %s of the name %s, found %s", path, ref.kind, ref.name, printable(strings.Join(others, ", "), 300))
	}
	return false, nil
}

// addEntry adds an entry to what was given of the name.
func (r *References) addEntry(ref reference, name string, content []byte) {
	if ref.kind == "ConfigMap" {
		r.addToConfigMap(ref, name, content)
		return
	}
	secret, ok := r.given[ref].(*corev1.Secret)
	if !ok {
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ref.namespace, Name: ref.name}, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{}}
		r.given[ref] = secret
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	if isDockerConfig(content) {
		secret.Type, name = corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey
	}
	secret.Data[name] = content
}

func (r *References) addToConfigMap(ref reference, name string, content []byte) {
	configMap, ok := r.given[ref].(*corev1.ConfigMap)
	if !ok {
		configMap = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ref.namespace, Name: ref.name}}
		r.given[ref] = configMap
	}
	if utf8.Valid(content) {
		if configMap.Data == nil {
			configMap.Data = map[string]string{}
		}
		configMap.Data[name] = string(content)
		return
	}
	if configMap.BinaryData == nil {
		configMap.BinaryData = map[string][]byte{}
	}
	configMap.BinaryData[name] = content
}

// isDockerConfig reports whether it is a ~/.docker/config.json.
func isDockerConfig(content []byte) bool {
	var config struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	return json.Unmarshal(content, &config) == nil && config.Auths != nil
}

// withoutPath is an error of the operating system without the path, which the
// message has already.
func withoutPath(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
