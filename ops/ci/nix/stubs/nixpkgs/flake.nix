{
  description = "As much of nixpkgs as ../../../../../flake.nix uses, for evaluation without a network";

  outputs =
    { self }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];

      genAttrs =
        names: value:
        builtins.listToAttrs (
          map (name: {
            inherit name;
            value = value name;
          }) names
        );

      lib = {
        inherit genAttrs;
        assertMsg = right: message: right || throw message;
        hasPrefix = start: text: builtins.substring 0 (builtins.stringLength start) text == start;
        removeSuffix =
          end: text:
          let
            whole = builtins.stringLength text;
            short = whole - builtins.stringLength end;
          in
          if short >= 0 && builtins.substring short whole text == end then
            builtins.substring 0 short text
          else
            text;
        # Separators without a meaning in regular expressions are all that is asked for.
        splitString = separator: text: builtins.filter builtins.isString (builtins.split separator text);
        versions.majorMinor =
          version:
          let
            parts = builtins.splitVersion version;
          in
          "${builtins.elemAt parts 0}.${builtins.elemAt parts 1}";
      };

      # A name that is not here is an error, as it is in nixpkgs for one that is not there. Each of these was seen to
      # evaluate for all four systems in nixpkgs itself.
      known = {
        cacert = "3.123";
        curl = "8.20.0";
        docker-client = "29.6.0";
        git = "2.54.0";
        jq = "1.8.1";
        nixfmt = "1.3.1";
        nixfmt-tree = "2.5.0";
        postgresql_17 = "17.10";
        python313 = "3.13.13";
        redis = "8.8.0";
        ruff = "0.15.20";
        skopeo = "1.23.0";
        umoci = "0.6.0";
        uv = "0.11.25";
      };

      packages =
        system:
        let
          made =
            name: arguments:
            derivation (
              {
                inherit name system;
                builder = "/bin/sh";
                PATH = "/usr/bin:/bin";
              }
              // arguments
            );
          program =
            name: text:
            made name {
              inherit text;
              passAsFile = [ "text" ];
              args = [
                "-c"
                "mkdir -p $out/bin; { echo '#!/bin/sh'; cat $textPath; } > $out/bin/${name}; chmod +x $out/bin/${name}"
              ];
            }
            // {
              meta.mainProgram = name;
            };
        in
        builtins.mapAttrs (name: version: program name "echo ${name} ${version}" // { inherit version; }) known
        // {
          inherit lib;
          stdenv.hostPlatform = { inherit system; };
          writeShellScriptBin = program;
          runCommand =
            name: environment: script:
            made name (environment // { inherit script; });
          mkShell =
            {
              name,
              packages,
              env,
              shellHook,
            }:
            made name (
              env
              // {
                inherit shellHook;
                # `nix develop` lets this shell tell the environment, and knows no other.
                builder = "/bin/bash";
                outputs = [ "out" ];
                nativeBuildInputs = packages;
                PATH = builtins.concatStringsSep ":" (
                  map (package: "${package}/bin") packages
                  ++ [
                    "/usr/bin"
                    "/bin"
                  ]
                );
              }
            );
        };
    in
    {
      inherit lib;
      legacyPackages = genAttrs systems packages;
    };
}
