// Command alerts prints the alerts of config/components/monitoring as a file that
// Prometheus reads without its operator.
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"

	"github.com/assay-dev/assay/test/monitoring"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "alerts:", err)
		os.Exit(1)
	}
}

func run() error {
	groups, err := monitoring.ReadGroups()
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(groups)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}
