"""The toolchain pinned by flake.nix: checks that need neither a network nor nixpkgs."""
