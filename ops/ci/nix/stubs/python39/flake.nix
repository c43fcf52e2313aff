{
  description = "The one package that ../../../../../flake.nix takes from an older nixpkgs, as an empty derivation";

  outputs =
    { self }:
    let
      stub = system: {
        name = system;
        value.python39 =
          derivation {
            name = "python3-3.9.22";
            inherit system;
            builder = "/bin/sh";
            args = [
              "-c"
              "echo stub > $out"
            ];
          }
          // {
            version = "3.9.22";
          };
      };
    in
    {
      legacyPackages = builtins.listToAttrs (
        map stub [
          "x86_64-linux"
          "aarch64-linux"
          "x86_64-darwin"
          "aarch64-darwin"
        ]
      );
    };
}
