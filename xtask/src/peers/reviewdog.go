// Reads a report as reviewdog does and prints what it takes from it, a JSON object for each finding.
package main

import (
	"fmt"
	"os"

	"github.com/reviewdog/reviewdog/parser"
	"google.golang.org/protobuf/encoding/protojson"
)

func main() {
	if err := read(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(format string) error {
	reader, err := parser.New(&parser.Option{FormatName: format})
	if err != nil {
		return err
	}
	diagnostics, err := reader.Parse(os.Stdin)
	if err != nil {
		return err
	}
	for _, diagnostic := range diagnostics {
		line, err := protojson.Marshal(diagnostic)
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	return nil
}
