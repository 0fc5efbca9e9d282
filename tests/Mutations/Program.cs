using System.Diagnostics;
using ZeroFlow.Mutations;

// dotnet run --project tests/Mutations -c Release                  every bug of the catalogue, one after the other
// dotnet run --project tests/Mutations -c Release -- wal-sync ...  those whose name begins so
string root = Directory.GetCurrentDirectory();
if (!File.Exists(Path.Combine(root, "ZeroFlow.sln")))
{
    Console.Error.WriteLine("Run this where ZeroFlow.sln is.");
    return 2;
}

Mutation[] chosen =
[
    .. Mutation.ReadAll(root).Where(mutation =>
        args.Length == 0 || args.Any(name => mutation.Name.StartsWith(name, StringComparison.Ordinal))),
];
using var workshop = new Workshop(root);

// A proof that fails without the bug proves nothing.
Console.WriteLine("Without a bug:");
int problems = 0;
MutationProof[] proofs = [.. chosen.SelectMany(static mutation => mutation.Proofs).DistinctBy(static proof => proof.ToString())];
foreach (MutationProof proof in proofs)
{
    Verdict verdict = workshop.Build(proof) ? workshop.Prove(proof) : Verdict.NotBuilt;
    if (verdict == Verdict.Passed) continue;
    problems++;
    Console.WriteLine($"  {proof} {verdict}\n{workshop.Output}");
}

Console.WriteLine($"  {proofs.Length} proofs, {problems} that do not pass");
int caught = 0;
foreach (Mutation mutation in chosen)
{
    long started = Stopwatch.GetTimestamp();
    var (verdict, proof) = workshop.Try(mutation);
    bool isCaught = verdict is Verdict.Failed or Verdict.Hung;
    if (isCaught) caught++;
    string how = verdict switch
    {
        Verdict.Failed => $"caught by {proof}",
        Verdict.Hung => $"caught by {proof}, which hung",
        Verdict.NotBuilt => $"DOES NOT COMPILE\n{workshop.Output}",
        Verdict.NotRun => $"{proof} HAS NO TESTS\n{workshop.Output}",
        _ => "NOT CAUGHT",
    };
    Console.WriteLine($"{mutation.Name,-34} {how} ({Stopwatch.GetElapsedTime(started).TotalSeconds:F0} s)");
}

Console.WriteLine($"{caught} of {chosen.Length} caught");
return problems == 0 && caught == chosen.Length && chosen.Length > 0 ? 0 : 1;
