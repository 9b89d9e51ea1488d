// Command apidocs prints the reference of the API in Markdown, from the
// generated CustomResourceDefinition: what the API server holds objects to.
package main

import (
	"fmt"
	"io"
	"os"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/assay-dev/assay/config/crd"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "apidocs:", err)
		os.Exit(1)
	}
}

func run(w io.Writer) error {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(crd.ModuleSources, &definition); err != nil {
		return err
	}
	_, err := io.WriteString(w, page(&definition))
	return err
}
