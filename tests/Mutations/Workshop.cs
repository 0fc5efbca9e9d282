using System.Diagnostics;
using System.Globalization;

namespace ZeroFlow.Mutations;

/// <summary>How a proof ended.</summary>
public enum Verdict
{
    Passed,
    Failed,
    Hung,
    NotBuilt,
    NotRun,
}

/// <summary>A copy of the source tree in which bugs are put in and taken out again. Not thread-safe.</summary>
public sealed class Workshop : IDisposable
{
    private static readonly TimeSpan BuildLimit = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan ProofLimit = TimeSpan.FromMinutes(5);

    private readonly string _tree = Directory.CreateTempSubdirectory("zeroflow-mutations-").FullName;

    /// <summary>Copies every file that git knows or would add.</summary>
    public Workshop(string root)
    {
        var git = new ProcessStartInfo("git", ["-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        {
            RedirectStandardOutput = true,
        };
        using Process listing = Process.Start(git)!;
        foreach (string file in listing.StandardOutput.ReadToEnd().Split('\0', StringSplitOptions.RemoveEmptyEntries))
        {
            string source = Path.Combine(root, file);
            if (!File.Exists(source)) continue;
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(_tree, file))!);
            File.Copy(source, Path.Combine(_tree, file));
        }

        listing.WaitForExit();
    }

    /// <summary>What the last program said.</summary>
    public string Output { get; private set; } = "";

    /// <summary>Builds what a proof needs. False when it does not compile.</summary>
    public bool Build(MutationProof proof)
    {
        // A bug may leave something unused: that is no reason not to compile.
        string project = proof.Project is { } tests ? $"tests/{tests}" : "tests/Simulation";
        return Run(BuildLimit, "dotnet", ["build", project, "-c", "Release", "-v", "quiet", "-p:TreatWarningsAsErrors=false", "-p:WarningLevel=0"]) == 0;
    }

    /// <summary>Runs a proof that was built.</summary>
    public Verdict Prove(MutationProof proof)
    {
        int? status = proof.Project is { } tests
            ? Run(ProofLimit, Path.Combine(_tree, "tests", tests, "bin/Release/net10.0", "ZeroFlow." + tests), ["-noColor", "-class", proof.Arguments[0]])
            : Run(ProofLimit, Path.Combine(_tree, "tests/Simulation/bin/Release/net10.0/ZeroFlow.Simulation"), ["--from", proof.Arguments[0], "--count", proof.Arguments[1]]);
        if (status is null) return Verdict.Hung;
        if (proof.Project is not null && !Output.Contains("Total: ", StringComparison.Ordinal) || Output.Contains("Total: 0,", StringComparison.Ordinal))
            return Verdict.NotRun;
        return status == 0 ? Verdict.Passed : Verdict.Failed;
    }

    /// <summary>Puts the bug in, runs its proofs until one notices, and takes it out.</summary>
    public (Verdict Verdict, MutationProof Proof) Try(Mutation mutation)
    {
        var before = new Dictionary<string, string>(StringComparer.Ordinal);
        try
        {
            foreach (MutationEdit edit in mutation.Edits)
            {
                string path = Path.Combine(_tree, edit.File);
                string source = File.ReadAllText(path);
                before.TryAdd(path, source);
                File.WriteAllText(path, edit.ApplyTo(source));
            }

            foreach (MutationProof proof in mutation.Proofs)
            {
                if (!Build(proof)) return (Verdict.NotBuilt, proof);
                Verdict verdict = Prove(proof);
                if (verdict != Verdict.Passed) return (verdict, proof);
            }

            return (Verdict.Passed, mutation.Proofs[^1]);
        }
        finally
        {
            foreach (var (path, source) in before) File.WriteAllText(path, source);
        }
    }

    public void Dispose() => Directory.Delete(_tree, recursive: true);

    // The exit status; null when the program had to be ended.
    private int? Run(TimeSpan limit, string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = _tree,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // A build server that outlives its build would keep the pipes open.
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["UseSharedCompilation"] = "false";
        start.Environment["CI"] = "true";
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        bool ended = process.WaitForExit(limit);
        if (!ended) process.Kill(entireProcessTree: true);
        Output = string.Create(CultureInfo.InvariantCulture, $"{output.Result}{errors.Result}");
        return ended ? process.ExitCode : null;
    }
}
