using System.ComponentModel;
using System.Diagnostics;

namespace ZeroFlow.Host.Doctor;

/// <summary>Asks the system's own tools.</summary>
internal static class ToolRun
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>
    /// What a tool prints; or null, with the reason in a few words, when it is missing, fails, or takes too long.
    /// </summary>
    public static async Task<(string? Output, string Reason)> AskAsync(string tool, string[] arguments, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(tool) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        start.Environment["LC_ALL"] = "C";
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timeout.CancelAfter(Patience);
        Process? process = null;
        try
        {
            process = Process.Start(start)!;
            process.StandardInput.Close();
            Task<string> output = process.StandardOutput.ReadToEndAsync(timeout.Token);
            Task<string> error = process.StandardError.ReadToEndAsync(timeout.Token);
            await process.WaitForExitAsync(timeout.Token);
            string said = (await error).Trim().Split('\n')[0];
            return process.ExitCode == 0 ? (await output, "") : (null, said.Length > 0 ? said : $"{tool} ended with {process.ExitCode}");
        }
        catch (Win32Exception)
        {
            return (null, $"{tool} is not installed");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            process?.Kill();
            return (null, $"{tool} does not answer");
        }
        finally
        {
            process?.Dispose();
        }
    }

    /// <summary>The text of a small file of the kernel's, without its line end; null when it cannot be read.</summary>
    public static string? ReadFile(string path)
    {
        try
        {
            return File.ReadAllText(path).TrimEnd('\n');
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
