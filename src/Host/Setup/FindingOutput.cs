using System.Text.Encodings.Web;
using System.Text.Json;

namespace ZeroFlow.Host.Setup;

/// <summary>Writes findings for people, or as JSON.</summary>
internal static class FindingOutput
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Writes them in their order; the advice stands below what it is about.</summary>
    public static void Write(IReadOnlyList<Finding> findings, bool asJson, TextWriter output)
    {
        if (asJson)
        {
            output.WriteLine(JsonSerializer.Serialize(new { findings }, Json));
            return;
        }

        foreach (Finding finding in findings)
        {
            string mark = finding.IsGood ? finding.Advice is null ? "ok    " : "note  " : "CHANGE";
            output.WriteLine($"{mark} {finding.What}: {finding.Says}");
            if (finding.Advice is not null) output.WriteLine($"       -> {finding.Advice}");
        }
    }

    /// <summary>0 when nothing has to change, otherwise 1.</summary>
    public static int ExitCode(IReadOnlyList<Finding> findings) =>
        findings.All(finding => finding.IsGood) ? ExitCodes.Success : ExitCodes.StartFailed;
}
